import { monitorEventLoopDelay, performance } from 'node:perf_hooks';

const NS_PER_MS = 1e6;
const START_MS = 1000;

/**
 * How long the turns of the event loop last: whatever arrives in the meantime has to wait. Every turn is measured, and nothing
 * wakes the process to do so: a timer that checks every 10 ms is most of what an idle process does.
 *
 * Node before 26.5 and 24.19 knows no other way than that timer: there 10 ms are the zero of these figures.
 */
export class TurnTimes {
  readonly #histogram = monitorEventLoopDelay({ samplePerIteration: true });
  #sinceMs = performance.now();

  start(): void {
    this.#histogram.enable();
  }

  stop(): void {
    this.#histogram.disable();
  }

  /** For the end of the start, whose long turns do not count. Node also takes what it waits for its first event for a turn. */
  resetAfterStart(): void {
    setTimeout(() => this.reset(), START_MS).unref();
  }

  reset(): void {
    this.#histogram.reset();
    this.#sinceMs = performance.now();
  }

  get minMs(): number {
    return this.#isEmpty ? 0 : this.#histogram.min / NS_PER_MS;
  }

  get maxMs(): number {
    return this.#histogram.max / NS_PER_MS;
  }

  get meanMs(): number {
    return this.#isEmpty ? 0 : this.#histogram.mean / NS_PER_MS;
  }

  get stddevMs(): number {
    return this.#isEmpty ? 0 : this.#histogram.stddev / NS_PER_MS;
  }

  /**
   * At a random moment, the turn in progress is no longer than this with the given probability. It is a percentile of time,
   * not of turns: a pause of a second is one turn among thousands of short ones, yet it delays everybody who arrives in it.
   *
   * @param percent  0 to 100
   */
  percentileMs(percent: number): number {
    let leftMs = (performance.now() - this.#sinceMs) * (1 - percent / 100);
    const steps = [...this.#histogram.percentiles];
    for (let at = steps.length - 1; at > 0; at -= 1) {
      const [upTo, longestNs] = steps[at]!;
      const turns = ((upTo - steps[at - 1]![0]) / 100) * this.#histogram.count;
      leftMs -= (turns * longestNs) / NS_PER_MS;
      if (leftMs < 0) return longestNs / NS_PER_MS;
    }
    return 0; // no turn at all: idle
  }

  get #isEmpty(): boolean {
    return this.#histogram.count === 0;
  }
}
