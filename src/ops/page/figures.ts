/** Runs in the browser. Pure: numbers in, numbers and texts out. What is not known is no number (NaN), and shown as –. */

export interface Histogram {
  readonly bounds: readonly number[];
  readonly counts: readonly number[];
  readonly count: number;
}

/** What was observed between two readings; all of it when the counters began anew. */
export function between(earlier: Histogram | undefined, later: Histogram): Histogram {
  if (!earlier || earlier.count > later.count || earlier.counts.length !== later.counts.length) return later;
  return {
    bounds: later.bounds,
    counts: later.counts.map((count, index) => count - (earlier.counts[index] ?? 0)),
    count: later.count - earlier.count,
  };
}

/** As Prometheus' histogram_quantile: interpolated within the bucket. `undefined` when nothing was observed. */
export function quantile(histogram: Histogram, share: number): number | undefined {
  if (histogram.count === 0) return undefined;
  const rank = share * histogram.count;
  const index = histogram.counts.findIndex((count) => count >= rank);
  if (index < 0) return histogram.bounds.at(-1);
  const upper = histogram.bounds[index] ?? 0;
  const lower = index > 0 ? (histogram.bounds[index - 1] ?? 0) : 0;
  const below = index > 0 ? (histogram.counts[index - 1] ?? 0) : 0;
  const inside = (histogram.counts[index] ?? 0) - below;
  return inside === 0 ? upper : lower + ((upper - lower) * (rank - below)) / inside;
}

export function seconds(value: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return '–';
  if (value === 0) return '0 s';
  if (value < 0.001) return `${Math.round(value * 1e6)} µs`;
  if (value < 1) return `${trimmed(value * 1000)} ms`;
  return value < 120 ? `${trimmed(value)} s` : duration(value);
}

export function duration(wholeSeconds: number): string {
  if (Number.isNaN(wholeSeconds)) return '–';
  const parts = [
    [86_400, 'd'],
    [3_600, 'h'],
    [60, 'min'],
    [1, 's'],
  ] as const;
  let left = Math.floor(wholeSeconds);
  const shown: string[] = [];
  for (const [size, unit] of parts) {
    const amount = Math.floor(left / size);
    left -= amount * size;
    if (amount > 0 && shown.length < 2) shown.push(`${amount} ${unit}`);
  }
  return shown.join(' ') || '0 s';
}

export function bytes(value: number): string {
  if (Number.isNaN(value)) return '–';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let size = value;
  let unit = 0;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit++;
  }
  return `${trimmed(size)} ${units[unit]}`;
}

export function count(value: number): string {
  if (value < 10_000 || Number.isNaN(value)) return trimmed(value);
  return value < 1_000_000 ? `${trimmed(value / 1000)} k` : `${trimmed(value / 1_000_000)} M`;
}

export function percent(share: number): string {
  return Number.isNaN(share) ? '–' : `${trimmed(share * 100)} %`;
}

/** Small amounts keep the digits that matter. */
export function money(value: number, currency: string): string {
  if (Number.isNaN(value)) return '–';
  const digits = value === 0 || value >= 1 ? 2 : value >= 0.01 ? 4 : 6;
  return `${value.toFixed(digits)} ${currency}`;
}

/** What a component says of itself, as words: units from the names, times as the clock shows them. */
export function describeDetails(details: Readonly<Record<string, unknown>>): string {
  return Object.entries(details)
    .map(([name, value]) => describeDetail(name, value))
    .join(' · ');
}

function describeDetail(name: string, value: unknown): string {
  if (typeof value === 'object' && value !== null)
    return `${words(name)}: ${describeDetails(value as Record<string, unknown>).replaceAll(' · ', ', ')}`;
  if (typeof value === 'number' && name.endsWith('_ms'))
    return `${words(name.slice(0, -3))} ${seconds(value / 1000)}`;
  if (typeof value === 'number' && name.endsWith('_seconds'))
    return `${words(name.slice(0, -8))} ${seconds(value)}`;
  if (typeof value === 'boolean') return `${words(name)} ${value ? 'yes' : 'no'}`;
  if (typeof value === 'string' && /^\d{4}-\d\d-\d\dT/.test(value))
    return `${words(name)} ${new Date(value).toLocaleTimeString()}`;
  return `${words(name)} ${typeof value === 'string' ? words(value) : String(value)}`;
}

function words(name: string): string {
  return name.replaceAll('_', ' ');
}

/** Three figures are enough for an eye. */
function trimmed(value: number): string {
  if (Number.isNaN(value)) return '–';
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return String(Number(value.toFixed(digits)));
}

/** The `d` of an SVG path through the values, in a box of 100 × 24. */
export function sparkline(values: readonly number[]): string {
  const highest = Math.max(...values, Number.MIN_VALUE);
  const step = 100 / Math.max(1, values.length - 1);
  return values
    .map(
      (value, index) =>
        `${index === 0 ? 'M' : 'L'}${(index * step).toFixed(1)} ${(23 - (22 * value) / highest).toFixed(1)}`,
    )
    .join('');
}
