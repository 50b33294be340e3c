import type { Spread } from '../load/load-plan.ts';

/** Median and quartiles: of few rounds on a busy machine nothing else can be trusted. */
export interface Summary {
  readonly median: number;
  readonly q1: number;
  readonly q3: number;
  readonly rounds: number;
}

/** @param sorted  ascending */
export function quantile(sorted: readonly number[], share: number): number {
  if (sorted.length === 0) return Number.NaN;
  const at = (sorted.length - 1) * share;
  const below = sorted[Math.floor(at)]!;
  const above = sorted[Math.ceil(at)]!;
  return below + (above - below) * (at - Math.floor(at));
}

/** @returns `undefined` = no value at all; values that are no numbers are left out */
export function summarise(values: readonly number[]): Summary | undefined {
  const sorted = values.filter(Number.isFinite).sort((first, second) => first - second);
  if (sorted.length === 0) return undefined;
  return {
    median: quantile(sorted, 0.5),
    q1: quantile(sorted, 0.25),
    q3: quantile(sorted, 0.75),
    rounds: sorted.length,
  };
}

/** Nearest rank: a latency that somebody really had. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = Float64Array.from(values).sort();
  const at = (share: number): number =>
    sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
  return { p50: at(0.5), p99: at(0.99), count: sorted.length };
}

export interface Trend {
  /** Units of `y` per unit of `x`, least squares. */
  readonly slope: number;
  /** Its standard error: a slope within twice of it is none. */
  readonly error: number;
}

export function trend(points: readonly (readonly [x: number, y: number])[]): Trend {
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / points.length;
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / points.length;
  const over = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  const under = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  const slope = over / under;
  const squares = points.reduce((sum, [x, y]) => sum + (y - meanY - slope * (x - meanX)) ** 2, 0);
  return { slope, error: points.length > 2 ? Math.sqrt(squares / (points.length - 2) / under) : Number.NaN };
}
