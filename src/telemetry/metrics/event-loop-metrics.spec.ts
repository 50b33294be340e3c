import { setImmediate as immediate, setTimeout as sleep } from 'node:timers/promises';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { describe, expect, it, vi } from 'vitest';
import { RecentTurns } from '../../timing/recent-turns.js';
import { NEVER_MS, registerEventLoopMetrics } from './event-loop-metrics.js';

describe('the metrics of the event loop', () => {
  it("stand under the client library's names, in seconds, of the last half to whole minute for whoever looks", async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const registry = new Registry();
    collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: NEVER_MS });
    const libraryNames = lagNames(registry);
    const recent = new RecentTurns();
    registerEventLoopMetrics(registry, recent);
    expect(lagNames(registry)).toEqual(libraryNames);

    recent.start();
    try {
      await sleep(20);
      const end = performance.now() + 500;
      while (performance.now() < end);
      // The next turn; a timer may come within this one.
      await immediate();
      await immediate();
      for (const look of ['one', 'the other', 'after half a minute']) {
        await registry.metrics();
        const longest = await valueOf(registry, 'nodejs_eventloop_lag_max_seconds');
        expect(longest, look).toBeGreaterThanOrEqual(0.5);
        expect(longest, look).toBeLessThan(5);
        if (look === 'the other') vi.advanceTimersByTime(30_000);
      }
      vi.advanceTimersByTime(30_000);
      await sleep(20);
      expect(await valueOf(registry, 'nodejs_eventloop_lag_max_seconds')).toBeLessThan(0.4);
    } finally {
      recent.stop();
      vi.useRealTimers();
    }
  });
});

function lagNames(registry: Registry): string[] {
  return registry
    .getMetricsAsArray()
    .map(({ name }) => name)
    .filter((name) => name.startsWith('nodejs_eventloop_lag'))
    .sort();
}

async function valueOf(registry: Registry, name: string): Promise<number> {
  const metric = await registry.getSingleMetric(name)?.get();
  return metric?.values[0]?.value ?? Number.NaN;
}
