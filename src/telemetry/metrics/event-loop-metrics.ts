import { Gauge, type Registry } from 'prom-client';
import type { RecentTurns } from '../../timing/recent-turns.js';
import type { TurnTimes } from '../../timing/turn-times.js';

/** The client library would wake the process this often, milliseconds, to look at the loop: never, as far as we go. */
export const NEVER_MS = 2 ** 31 - 1;

/** Where the library says when its own look comes back. */
const LIBRARY_LAG = 'nodejs_eventloop_lag_seconds';

const FIGURES: readonly {
  readonly name: string;
  readonly help: string;
  readonly aggregator: 'min' | 'max' | 'average';
  readonly readMs: (turns: TurnTimes) => number;
}[] = [
  { name: 'min', help: 'The shortest turn.', aggregator: 'min', readMs: (turns) => turns.minMs },
  { name: 'max', help: 'The longest turn.', aggregator: 'max', readMs: (turns) => turns.maxMs },
  { name: 'mean', help: 'The mean turn.', aggregator: 'average', readMs: (turns) => turns.meanMs },
  {
    name: 'stddev',
    help: 'The standard deviation of the turns.',
    aggregator: 'average',
    readMs: (turns) => turns.stddevMs,
  },
  ...[50, 90, 99].map((percent) => ({
    name: `p${percent}`,
    help: `The turn that is not exceeded in ${percent} % of the time.`,
    // of several workers the worst: a mean would hide the one that makes its clients wait
    aggregator: 'max' as const,
    readMs: (turns: TurnTimes) => turns.percentileMs(percent),
  })),
];

/**
 * `nodejs_eventloop_lag_*`, under the names that dashboards know from the client library: how long the turns of the event
 * loop took in the last half to whole minute. The library starts anew with each look at the page, so that of two that look each
 * sees a part.
 */
export function registerEventLoopMetrics(registry: Registry, recent: Pick<RecentTurns, 'turns'>): void {
  registry.removeSingleMetric(LIBRARY_LAG);
  for (const { name, help, aggregator, readMs } of FIGURES) {
    const fullName = `nodejs_eventloop_lag_${name}_seconds`;
    registry.removeSingleMetric(fullName);
    new Gauge({
      name: fullName,
      help,
      aggregator,
      registers: [registry],
      collect() {
        this.set(readMs(recent.turns) / 1000);
      },
    });
  }
  new Gauge({
    name: LIBRARY_LAG,
    help: 'How late the event loop is now.',
    aggregator: 'average',
    registers: [registry],
    async collect() {
      const askedMs = performance.now();
      await new Promise(setImmediate);
      this.set((performance.now() - askedMs) / 1000);
    },
  });
}
