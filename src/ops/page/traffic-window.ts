import type { Attempts, Summary } from './answers.js';
import { between, type Histogram } from './figures.js';

/** Five minutes of readings. */
const MAX_READINGS = 60;

interface Reading {
  readonly atMs: number;
  readonly summary: Summary;
}

/** The running totals of the last minutes, and what happened between the first and the last of them. */
export class TrafficWindow {
  readonly #readings: Reading[] = [];

  /** A total that fell means that the gateway was restarted: what was read before says nothing any more. */
  add(summary: Summary, atMs: number): void {
    if (summary.requests.total < (this.latest?.requests.total ?? 0)) this.clear();
    this.#readings.push({ atMs, summary });
    if (this.#readings.length > MAX_READINGS) this.#readings.shift();
  }

  clear(): void {
    this.#readings.length = 0;
  }

  get latest(): Summary | undefined {
    return this.#readings.at(-1)?.summary;
  }

  /** 0 until there are two readings: nothing can be told then. */
  get seconds(): number {
    const first = this.#readings[0];
    const last = this.#readings.at(-1);
    return first && last ? (last.atMs - first.atMs) / 1000 : 0;
  }

  grown(read: (summary: Summary) => number): number {
    const first = this.#readings[0]?.summary;
    const last = this.latest;
    return first && last ? read(last) - read(first) : 0;
  }

  perMinute(read: (summary: Summary) => number): number | undefined {
    return this.seconds === 0 ? undefined : (this.grown(read) * 60) / this.seconds;
  }

  histogram(read: (summary: Summary) => Histogram): Histogram {
    const first = this.#readings[0]?.summary;
    const last = this.latest;
    if (!first || !last || first === last) return { bounds: [], counts: [], count: 0 };
    return between(read(first), read(last));
  }

  /** The calls that ended so, by provider. */
  attempts(outcome: keyof Attempts[string]): [provider: string, count: number][] {
    return Object.keys(this.latest?.attempts ?? {}).map((provider) => [
      provider,
      this.grown(({ attempts }) => attempts[provider]?.[outcome] ?? 0),
    ]);
  }

  /** How much a total grew from reading to reading. */
  trend(read: (summary: Summary) => number): number[] {
    return this.#readings
      .slice(1)
      .map(({ summary }, index) => read(summary) - read(this.#readings[index]?.summary ?? summary));
  }
}
