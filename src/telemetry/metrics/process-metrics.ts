import { Counter, Gauge, type Registry } from 'prom-client';

/** Sinks that may have to drop something, and how much they dropped since the start. */
export type DroppedCounts = Readonly<Record<string, () => number>>;

/** What runs here, how many processes of it, and what its telemetry had to drop. */
export function registerProcessMetrics(
  registry: Registry,
  build: { version: string; environment: string },
  dropped: DroppedCounts,
): void {
  for (const name of [
    'llm_gateway_build_info',
    'llm_gateway_workers',
    'llm_gateway_telemetry_dropped_total',
  ]) {
    registry.removeSingleMetric(name);
  }
  new Gauge({
    name: 'llm_gateway_build_info',
    help: 'Always 1; the labels tell what runs here.',
    labelNames: ['version', 'environment', 'node'],
    aggregator: 'max',
    registers: [registry],
  }).set({ ...build, node: process.version }, 1);
  new Gauge({
    name: 'llm_gateway_workers',
    help: 'Worker processes that are serving.',
    registers: [registry],
  }).set(1);
  new Counter({
    name: 'llm_gateway_telemetry_dropped_total',
    help: 'Log lines, traces and events that could not be delivered.',
    labelNames: ['sink'],
    registers: [registry],
    collect() {
      this.reset();
      for (const [sink, count] of Object.entries(dropped)) this.inc({ sink }, count());
    },
  });
}

/** Gauges of the client library with a counter's suffix, which `promtool check metrics` refuses; the ones by type remain. */
const MISNAMED = [
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
  'nodejs_active_resources_total',
];

export function dropMisnamedMetrics(registry: Registry): void {
  for (const name of MISNAMED) registry.removeSingleMetric(name);
}
