import type { Cluster, Worker } from 'node:cluster';
import { isMetricsMessage, type MetricsMessage } from './metrics-messages.js';
import { countsOf, mergeWorkerMetrics, plainMetrics, type PlainMetric } from './merge-worker-metrics.js';

/** A worker that is slower than this is counted with what it said last. */
const COLLECT_TIMEOUT_MS = 1_000;
const MAX_DEPARTED = 8;

/**
 * The primary's part of `/metrics` when there are several workers: whichever worker is asked, the answer is the sum
 * over all of them, the dead ones' counts included.
 */
export class ClusterMetrics {
  /** What each living worker said last, by worker id. */
  readonly #last = new Map<number, readonly PlainMetric[]>();
  /** The counts that dead workers left. */
  #departed: (readonly PlainMetric[])[] = [];
  readonly #dead = new Set<number>();
  #waiting: { readonly id: number; readonly missing: Set<number>; readonly done: () => void } | undefined;
  #collecting: Promise<void> | undefined;
  #nextId = 1;

  constructor(private readonly cluster: Pick<Cluster, 'workers' | 'on'>) {
    cluster.on('message', (worker: Worker, message: unknown) => this.#received(worker, message));
    cluster.on('exit', (worker: Worker) => this.#departs(worker.id));
  }

  /** The text for Prometheus. */
  async text(): Promise<string> {
    await this.#collect();
    if (this.#departed.length > MAX_DEPARTED) await this.#compact();
    return mergeWorkerMetrics([...this.#departed, ...this.#last.values()]).metrics();
  }

  /** Callers at the same moment share one round. */
  #collect(): Promise<void> {
    this.#collecting ??= this.#ask().finally(() => (this.#collecting = undefined));
    return this.#collecting;
  }

  #ask(): Promise<void> {
    const workers = Object.values(this.cluster.workers ?? {}).filter(
      (worker) => worker?.isConnected() === true,
    );
    if (workers.length === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, COLLECT_TIMEOUT_MS);
      const id = this.#nextId++;
      const missing = new Set(workers.map((worker) => worker?.id ?? 0));
      this.#waiting = {
        id,
        missing,
        done: () => {
          clearTimeout(timer);
          resolve();
        },
      };
      for (const worker of workers) send(worker, { topic: 'gateway-metrics', kind: 'collect', id });
    });
  }

  #received(worker: Worker, message: unknown): void {
    if (!isMetricsMessage(message)) return;
    if (message.kind === 'ask') void this.#answer(worker, message.id);
    if (message.kind !== 'collected' || this.#dead.has(worker.id)) return;
    this.#last.set(worker.id, message.metrics);
    if (this.#waiting?.id === message.id) this.#arrived(worker.id);
  }

  #arrived(workerId: number): void {
    this.#waiting?.missing.delete(workerId);
    if (this.#waiting?.missing.size === 0) this.#waiting.done();
  }

  async #answer(worker: Worker, id: number): Promise<void> {
    send(worker, { topic: 'gateway-metrics', kind: 'answer', id, text: await this.text() });
  }

  #departs(workerId: number): void {
    const last = this.#last.get(workerId);
    this.#last.delete(workerId);
    this.#dead.add(workerId);
    if (last) this.#departed.push(countsOf(last));
    this.#arrived(workerId);
  }

  /** However often workers die, what they left stays small. */
  async #compact(): Promise<void> {
    const departed = this.#departed;
    this.#departed = [];
    this.#departed.push(await plainMetrics(mergeWorkerMetrics(departed)));
  }
}

function send(worker: Worker | undefined, message: MetricsMessage): void {
  // A worker that just died has closed its channel; its absence is noticed by the exit event.
  if (worker?.isConnected()) worker.send(message, () => {});
}
