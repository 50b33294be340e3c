import { describe, expect, it } from 'vitest';
import { compareReports } from './compare-reports.ts';
import type { Summary } from './measure/statistics.ts';
import type { Metric, Report, Row } from './present/report.ts';

const around = (median: number, width = 0.04): Summary => ({
  median,
  q1: median * (1 - width),
  q3: median * (1 + width),
  rounds: 5,
});

interface Ratios {
  readonly raw?: Summary;
  readonly nginx?: Summary;
}

function report(metric: Metric, ratios: Ratios, subject = 'gateway'): Report {
  const row: Row = {
    scenario: 'whole-64',
    title: 'whole answers',
    metric,
    subject,
    value: around(100),
    ratios: ratios as Record<string, Summary>,
  };
  return { rows: [row] } as unknown as Report;
}

function verdictOf(before: Ratios, after: Ratios, metric: Metric = 'cpu'): string | undefined {
  return compareReports(report(metric, before), report(metric, after))[0]?.verdict;
}

describe('compareReports', () => {
  it('finds a cost that grew by more than the noise', () => {
    expect(verdictOf({ raw: around(2) }, { raw: around(2.5) })).toBe('worse');
    expect(verdictOf({ raw: around(2.5) }, { raw: around(2) })).toBe('better');
  });

  it('takes no small change for one', () => {
    expect(verdictOf({ raw: around(2) }, { raw: around(2.3) })).toBe('same');
  });

  it('takes no change for one whose quartiles still touch', () => {
    expect(verdictOf({ raw: around(2, 0.2) }, { raw: around(2.5, 0.2) })).toBe('same');
  });

  it('allows a tail of few requests more than a cost', () => {
    expect(verdictOf({ raw: around(2) }, { raw: around(2.5) }, 'addedP99')).toBe('same');
    expect(verdictOf({ raw: around(2) }, { raw: around(4) }, 'addedP99')).toBe('worse');
  });

  it('does not blame the gateway for a peer that got faster', () => {
    const before = { raw: around(2), nginx: around(6) };
    expect(verdictOf(before, { raw: around(2.6), nginx: around(6.1) })).toBe('same');
    expect(verdictOf(before, { raw: around(2.6), nginx: around(7.8) })).toBe('worse');
  });

  it('says the change against the first peer', () => {
    const [change] = compareReports(
      report('cpu', { raw: around(2), nginx: around(6) }),
      report('cpu', { raw: around(3), nginx: around(9) }),
    );
    expect(change).toMatchObject({ peer: 'raw', change: 0.5 });
  });

  it('compares only what both have, of the gateway, and where less is better', () => {
    expect(verdictOf({}, { raw: around(2) })).toBeUndefined();
    expect(verdictOf({ nginx: around(2) }, { raw: around(2) })).toBeUndefined();
    expect(verdictOf({ raw: around(1) }, { raw: around(9) }, 'perSecondAndCore')).toBeUndefined();
    const peers = report('cpu', { raw: around(2) }, 'portkey');
    expect(compareReports(peers, peers)).toEqual([]);
  });
});
