import { describe, expect, it } from 'vitest';
import type { Summary } from '../measure/statistics.ts';
import type { Row } from './report.ts';
import { targetsOf, verdict } from './targets.ts';

const summary = (q1: number, median: number, q3: number): Summary => ({ median, q1, q3, rounds: 5 });

function target(measured: Summary | undefined): Parameters<typeof verdict>[0] {
  return { name: 'CPU', limit: 2, stretch: 1.5, measured };
}

describe('verdict', () => {
  it.each([
    [summary(1.1, 1.2, 1.3), 'met, stretch too'],
    [summary(1.6, 1.7, 1.8), 'met'],
    [summary(1.8, 1.9, 2.1), 'met, barely'],
    [summary(1.9, 2.1, 2.2), '**missed**, barely'],
    [summary(2.1, 2.2, 2.3), '**missed**'],
    [undefined, 'not measured'],
  ])('%o is %s', (measured, words) => expect(verdict(target(measured))).toBe(words));
});

describe('targetsOf', () => {
  const row = (subject: string, against: string, ratio: Summary): Row => ({
    scenario: 'whole-64',
    title: 'whole answers',
    metric: 'cpu',
    subject,
    value: summary(1, 1, 1),
    ratios: { [against]: ratio },
  });

  it('takes the gateway’s ratio to the peer that the target names', () => {
    const targets = targetsOf([
      row('gateway', 'raw', summary(1, 2, 3)),
      row('portkey', 'raw', summary(9, 9, 9)),
    ]);
    expect(targets.map(({ measured }) => measured?.median).filter(Boolean)).toEqual([2]);
  });

  it('takes for billing’s share what goes away without it, quartiles turned round', () => {
    const targets = targetsOf([row('gateway-free', 'gateway', summary(0.7, 0.8, 0.95))]);
    const { median, q1, q3 } = targets.find(({ name }) => name.includes('billing'))!.measured!;
    expect([q1, median, q3].map((share) => Number(share.toFixed(2)))).toEqual([0.05, 0.2, 0.3]);
  });
});
