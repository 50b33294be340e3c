import { describe, expect, it } from 'vitest';
import { quantile, spreadOf, summarise, trend } from './statistics.ts';

describe('quantile', () => {
  it('lies between the two values around it', () => {
    expect(quantile([1, 2, 3, 4], 0.5)).toBe(2.5);
    expect(quantile([10, 20], 0.25)).toBe(12.5);
    expect(quantile([7], 0.99)).toBe(7);
  });

  it('of nothing is no number', () => expect(quantile([], 0.5)).toBeNaN());
});

describe('summarise', () => {
  it('gives median and quartiles in any order of the values', () => {
    expect(summarise([5, 1, 4, 2, 3])).toEqual({ median: 3, q1: 2, q3: 4, rounds: 5 });
  });

  it('leaves out rounds that have no figure', () => {
    expect(summarise([Number.NaN, 2, Infinity])).toEqual({ median: 2, q1: 2, q3: 2, rounds: 1 });
    expect(summarise([Number.NaN])).toBeUndefined();
  });

  it('sorts as numbers, not as text', () => expect(summarise([10, 9, 8])?.median).toBe(9));
});

describe('spreadOf', () => {
  it('takes the nearest rank', () => {
    const latencies = Array.from({ length: 1000 }, (_, index) => 1000 - index);
    expect(spreadOf(latencies)).toEqual({ p50: 500, p99: 990, count: 1000 });
  });

  it('of one value is that value, of none no number', () => {
    expect(spreadOf([3])).toEqual({ p50: 3, p99: 3, count: 1 });
    expect(spreadOf([]).p99).toBeNaN();
  });
});

describe('trend', () => {
  it('finds the slope of a line, without error', () => {
    const { slope, error } = trend([
      [0, 5],
      [10, 25],
      [20, 45],
    ]);
    expect(slope).toBeCloseTo(2);
    expect(error).toBeCloseTo(0);
  });

  it('says how uncertain a slope is', () => {
    const { slope, error } = trend([
      [0, 1],
      [1, -1],
      [2, 1],
      [3, -1],
    ]);
    expect(slope).toBeCloseTo(-0.4);
    expect(error).toBeCloseTo(Math.sqrt(0.32));
  });

  it('knows no error of two points', () => {
    expect(
      trend([
        [0, 0],
        [1, 1],
      ]).error,
    ).toBeNaN();
  });
});
