import { AggregatorRegistry, type Registry } from 'prom-client';

/** A metric as `Registry.getMetricsAsJSON()` gives it and as it comes over IPC. */
export interface PlainMetric {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly aggregator: string;
  readonly values: readonly PlainValue[];
}

export interface PlainValue {
  readonly value: number;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly metricName?: string;
  /** Unix milliseconds; only of `user_balance`. */
  readonly seenAt?: number;
}

/**
 * A registry's figures as plain data, fit for IPC.
 * The library leaves the start of the process out of a sum; that of the oldest worker tells how long the counts go back.
 */
export async function plainMetrics(registry: Registry): Promise<PlainMetric[]> {
  const metrics = await registry.getMetricsAsJSON();
  return metrics.map(({ name, help, type, aggregator, values }) => ({
    name,
    help,
    // The library's type is an enum of numbers; what it gives is the word.
    type: String(type),
    aggregator: name === 'process_start_time_seconds' ? 'min' : aggregator,
    values: values.map((value) => ({
      ...value,
      labels: { ...value.labels } as Record<string, string | number>,
    })),
  }));
}

/** Several workers' figures -> one registry: sums, or what each metric's aggregator says; of a balance the latest sight. */
export function mergeWorkerMetrics(workers: readonly (readonly PlainMetric[])[]): Registry {
  const balances = workers.flatMap((metrics) => metrics.filter((metric) => metric.name === 'user_balance'));
  const summed = workers.map((metrics) => metrics.filter((metric) => metric.name !== 'user_balance'));
  return AggregatorRegistry.aggregate([...summed, latestBalances(balances)]);
}

/**
 * What a dead worker leaves behind: its counts, so that sums never fall (Prometheus would read a fall as a restart and
 * count everything again). Its gauges died with it.
 */
export function countsOf(metrics: readonly PlainMetric[]): PlainMetric[] {
  return metrics.filter((metric) => metric.type === 'counter' || metric.type === 'histogram');
}

function latestBalances(balances: readonly PlainMetric[]): PlainMetric[] {
  const first = balances[0];
  if (!first) return [];
  const latest = new Map<string | number | undefined, PlainValue>();
  for (const value of balances.flatMap((metric) => metric.values)) {
    const known = latest.get(value.labels.user_id);
    if (!known || (value.seenAt ?? 0) > (known.seenAt ?? 0)) latest.set(value.labels.user_id, value);
  }
  return [{ ...first, values: [...latest.values()] }];
}
