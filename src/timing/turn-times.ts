import { monitorEventLoopDelay, performance } from 'node:perf_hooks';

const NS_PER_MS = 1e6;
const START_MS = 1000;

/**
 * How long the turns of the event loop last: what comes meanwhile waits for its turn. Every turn is measured, and nothing
 * wakes the process for it; a timer that looks every 10 ms is most of what an idle process does.
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
   * So long lasts the turn, at most, that is under way at a moment taken at random, with this probability. Of the time and
   * not of the turns: a second's stop is one turn among thousands of short ones, and it hits everybody who comes within it.
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
