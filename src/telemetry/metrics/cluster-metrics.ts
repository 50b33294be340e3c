import type { Cluster, Worker } from 'node:cluster';
import { isMetricsMessage, type MetricsMessage } from './metrics-messages.js';
import { MergedPage } from './merge-worker-metrics.js';
import { pageTexts, type PagePart } from './page-parts.js';

/** A worker that says nothing for so long is counted with what it said last. */
const COLLECT_TIMEOUT_MS = 1_000;

/** Known to the primary alone. */
export const WORKER_DEATHS = {
  name: 'llm_gateway_worker_deaths_total',
  help: 'Worker processes that ended by a fault or a kill, and were replaced.',
  type: 'counter',
  aggregator: 'sum',
};

interface Round {
  readonly id: number;
  readonly missing: Set<number>;
  readonly heard: () => void;
  readonly done: () => void;
}

/**
 * The primary's part of `/metrics` when there are several workers: whichever worker is asked, the answer is the sum
 * over all of them, the dead ones' counts included.
 */
export class ClusterMetrics {
  /** What each living worker said last, by worker id. */
  readonly #last = new Map<number, readonly PagePart[]>();
  /** What each is saying now: its pages by the round's id. */
  readonly #arriving = new Map<number, Map<number, PagePart[]>>();
  /** The counts that dead workers left, and what is yet to be added to them. */
  readonly #departed = new MergedPage();
  #departing: (readonly PagePart[])[] = [];
  readonly #dead = new Set<number>();
  #deaths = 0;
  #round: Round | undefined;
  #texts: Promise<string[]> | undefined;
  #nextId = 1;

  constructor(private readonly cluster: Pick<Cluster, 'workers' | 'on'>) {
    cluster.on('message', (worker: Worker, message: unknown) => this.#received(worker, message));
    cluster.on('exit', (worker: Worker, code: number | null) => {
      // Told to stop, they end with 0.
      if (code !== 0) this.#deaths += 1;
      this.#departs(worker.id);
    });
  }

  /** The page for Prometheus in its parts. Callers at the same moment share one. */
  texts(): Promise<string[]> {
    this.#texts ??= this.#sum().finally(() => (this.#texts = undefined));
    return this.#texts;
  }

  async #sum(): Promise<string[]> {
    await this.#collect();
    const living = [...this.#last.values()];
    for (const parts of this.#departing.splice(0)) await this.#departed.addCounts(parts);
    const page = new MergedPage();
    for await (const part of this.#departed.parts()) await page.add([part]);
    for (const parts of living) await page.add(parts);
    await page.add([{ family: WORKER_DEATHS, lines: `${WORKER_DEATHS.name} ${this.#deaths}\n` }]);
    return pageTexts(page.parts());
  }

  #collect(): Promise<void> {
    const workers = Object.values(this.cluster.workers ?? {}).filter(
      (worker) => worker?.isConnected() === true,
    );
    if (workers.length === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, COLLECT_TIMEOUT_MS);
      const id = this.#nextId++;
      const missing = new Set(workers.map((worker) => worker?.id ?? 0));
      const done = () => {
        clearTimeout(timer);
        resolve();
      };
      this.#round = { id, missing, heard: () => timer.refresh(), done };
      for (const worker of workers) void send(worker, { topic: 'gateway-metrics', kind: 'collect', id });
    });
  }

  #received(worker: Worker, message: unknown): void {
    if (!isMetricsMessage(message)) return;
    if (message.kind === 'ask') void this.#answer(worker, message.id);
    if (message.kind === 'collected' && !this.#dead.has(worker.id)) {
      this.#hears(worker.id, message.id, message.part);
    }
  }

  #hears(workerId: number, id: number, part: PagePart | undefined): void {
    let pages = this.#arriving.get(workerId);
    if (!pages) this.#arriving.set(workerId, (pages = new Map<number, PagePart[]>()));
    const parts = pages.get(id) ?? [];
    if (part) {
      parts.push(part);
      pages.set(id, parts);
      if (this.#round?.id === id) this.#round.heard();
      return;
    }
    pages.delete(id);
    this.#last.set(workerId, parts);
    if (this.#round?.id === id) this.#arrived(workerId);
  }

  #arrived(workerId: number): void {
    this.#round?.missing.delete(workerId);
    if (this.#round?.missing.size === 0) this.#round.done();
  }

  async #answer(worker: Worker, id: number): Promise<void> {
    for (const text of [...(await this.texts()), undefined]) {
      await send(worker, { topic: 'gateway-metrics', kind: 'answer', id, text });
    }
  }

  #departs(workerId: number): void {
    const last = this.#last.get(workerId);
    this.#last.delete(workerId);
    this.#arriving.delete(workerId);
    this.#dead.add(workerId);
    if (last) this.#departing.push(last);
    this.#arrived(workerId);
  }
}

/** Connections come to the worker by the same channel: what waits for this one is never queued before them. */
async function send(worker: Worker | undefined, message: MetricsMessage): Promise<void> {
  // A worker that just died has closed its channel; its absence is noticed by the exit event.
  if (worker?.isConnected()) await new Promise((sent) => worker.send(message, sent));
}
