/** The load generator as a process: takes a LoadPlan by message, answers with a LoadResult. One plan at a time. */
import { setTimeout as sleep } from 'node:timers/promises';
import { spreadOf } from '../measure/statistics.ts';
import { ArrivalClock, monotonicMs } from './arrival-clock.ts';
import { Connection } from './connection.ts';
import type { LoadMessage, LoadPlan, LoadResult } from './load-plan.ts';

const DRAIN_LIMIT_MS = 30_000;
const HELD: Connection[] = [];

class Load {
  readonly #plan: LoadPlan;
  readonly #requests: Buffer[];
  readonly #idle: Connection[] = [];
  readonly #all: Connection[] = [];
  readonly #latencies: number[] = [];
  readonly #firstChunks: number[] = [];
  readonly #lateness: number[] = [];
  #sent = 0;
  #active = 0;
  #finished = 0;
  #chunks = 0;
  #failures = 0;
  #firstFailure: string | undefined;
  #isOpen = false;
  #isStopping = false;
  #onDrained: () => void = () => undefined;

  constructor(plan: LoadPlan) {
    this.#plan = plan;
    const users = plan.tokens.length > 0 ? plan.tokens : [undefined];
    this.#requests = users.map((token) => requestBytes(plan, token));
  }

  async run(): Promise<void> {
    const { arrivals, warmSeconds, seconds, end } = this.#plan;
    if ('inFlight' in arrivals) this.#startClosed(arrivals.inFlight);
    const clock = 'perSecond' in arrivals ? this.#startOpen(arrivals.perSecond) : undefined;
    if (warmSeconds > 0) await sleep(warmSeconds * 1000);
    this.#openWindow();
    const openedMs = monotonicMs();
    await Promise.race([sleep(seconds * 1000), this.#allSent()]);
    this.#isStopping = end !== 'held';
    await clock?.stop();
    if (end === 'drained') await this.#drained();
    send({ kind: 'window-closed', result: this.#result((monotonicMs() - openedMs) / 1000) });
    this.#isOpen = false;
    if (end === 'held') HELD.push(...this.#all);
    else for (const connection of this.#all) connection.destroy();
    send({ kind: 'done' });
  }

  #openWindow(): void {
    this.#isOpen = true;
    this.#latencies.length = 0;
    this.#firstChunks.length = 0;
    this.#lateness.length = 0;
    this.#finished = 0;
    this.#chunks = 0;
    send({ kind: 'window-open' });
  }

  #startClosed(inFlight: number): void {
    const spreadMs = this.#plan.spreadSeconds * 1000;
    for (let i = 0; i < inFlight; i++) {
      setTimeout(() => this.#issue(monotonicMs()), (spreadMs * i) / inFlight);
    }
  }

  #startOpen(perSecond: number): ArrivalClock {
    return ArrivalClock.start(perSecond, (dueMs) => {
      if (this.#isStopping) return;
      this.#lateness.push(monotonicMs() - dueMs);
      this.#issue(dueMs);
    });
  }

  #issue(startedMs: number): void {
    if (this.#isStopping || this.#sent >= (this.#plan.maxRequests ?? Infinity)) return;
    const request = this.#requests[this.#sent++ % this.#requests.length]!;
    this.#active++;
    const connection = this.#connection();
    connection.send(request, this.#plan.isStream, {
      onFirstChunk: () => this.#isOpen && this.#firstChunks.push(monotonicMs() - startedMs),
      onChunks: (count) => (this.#chunks += count),
      onEnd: (failure) => this.#ended(startedMs, failure),
    });
  }

  #connection(): Connection {
    for (let found = this.#idle.pop(); found; found = this.#idle.pop()) if (found.isUsable) return found;
    const made = new Connection(this.#plan.port, (connection) => this.#idle.push(connection));
    this.#all.push(made);
    return made;
  }

  #ended(startedMs: number, failure: string | undefined): void {
    this.#active--;
    if (failure === undefined) {
      this.#finished++;
      if (this.#isOpen) this.#latencies.push(monotonicMs() - startedMs);
    } else {
      this.#failures++;
      this.#firstFailure ??= failure;
    }
    if ('inFlight' in this.#plan.arrivals && !this.#isStopping) {
      setImmediate(() => this.#issue(monotonicMs()));
    }
    if (this.#active === 0) this.#onDrained();
  }

  async #allSent(): Promise<void> {
    const { maxRequests } = this.#plan;
    if (maxRequests === undefined) return new Promise(() => undefined);
    while (this.#sent < maxRequests) await sleep(20);
  }

  async #drained(): Promise<void> {
    if (this.#active === 0) return;
    await Promise.race([new Promise<void>((resolve) => (this.#onDrained = resolve)), sleep(DRAIN_LIMIT_MS)]);
  }

  #result(seconds: number): LoadResult {
    return {
      requests: this.#finished,
      chunks: this.#chunks,
      failures: this.#failures,
      firstFailure: this.#firstFailure,
      seconds,
      latency: spreadOf(this.#latencies),
      timeToFirstChunk: spreadOf(this.#firstChunks),
      lateness: spreadOf(this.#lateness),
    };
  }
}

function requestBytes(plan: LoadPlan, token: string | undefined): Buffer {
  const lines = [
    `POST ${plan.path} HTTP/1.1`,
    `host: 127.0.0.1:${plan.port}`,
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(plan.body)}`,
    ...plan.headers,
    ...(token === undefined ? [] : [`authorization: Bearer ${token}`]),
  ];
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n${plan.body}`);
}

function send(message: LoadMessage): void {
  process.send?.(message);
}

process.on('message', (plan: LoadPlan) => {
  for (const connection of HELD.splice(0)) connection.destroy();
  void new Load(plan).run();
});
send({ kind: 'ready' });
