import { setImmediate as immediate, setTimeout as sleep } from 'node:timers/promises';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { TurnTimes } from '../../timing/turn-times.js';
import { NEVER_MS, registerEventLoopMetrics } from './event-loop-metrics.js';

describe('the metrics of the event loop', () => {
  it("stand under the client library's names, in seconds, since the page was last asked for", async () => {
    const registry = new Registry();
    collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: NEVER_MS });
    const libraryNames = lagNames(registry);
    const turns = new TurnTimes();
    registerEventLoopMetrics(registry, turns);
    expect(lagNames(registry)).toEqual(libraryNames);

    turns.start();
    await sleep(20);
    await registry.metrics();
    const end = performance.now() + 500;
    while (performance.now() < end);
    // The next turn; a timer may come within this one.
    await immediate();
    await immediate();
    const longest = await valueOf(registry, 'nodejs_eventloop_lag_max_seconds');
    expect(longest).toBeGreaterThanOrEqual(0.5);
    expect(longest).toBeLessThan(5);
    await registry.metrics();
    expect(await valueOf(registry, 'nodejs_eventloop_lag_max_seconds')).toBeLessThan(0.4);
    turns.stop();
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
