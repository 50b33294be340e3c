import type { Summary } from '../measure/statistics.ts';
import type { Metric, Row, Target } from './report.ts';

interface Goal {
  readonly name: string;
  readonly scenario: string;
  readonly metric: Metric;
  readonly against: string;
  readonly limit: number;
  readonly stretch?: number;
}

const WHOLE = { scenario: 'whole-64', metric: 'cpu' } as const;

const GOALS: readonly Goal[] = [
  {
    ...WHOLE,
    name: 'CPU per request, 64 in flight, × raw Node',
    against: 'raw',
    limit: 2.2,
    stretch: 1.7,
  },
  {
    ...WHOLE,
    name: 'CPU per request, 64 in flight, × Portkey',
    against: 'portkey',
    limit: 0.25,
    stretch: 0.17,
  },
  { ...WHOLE, name: 'CPU per request, 64 in flight, × nginx', against: 'nginx', limit: 7, stretch: 5 },
  {
    name: 'CPU per stream of 100 chunks without a pause, × raw Node',
    scenario: 'stream-64',
    metric: 'cpu',
    against: 'raw',
    limit: 1.5,
    stretch: 1.2,
  },
  {
    name: 'CPU per chunk at 20 a second, × raw Node',
    scenario: 'paced-64',
    metric: 'cpu',
    against: 'raw',
    limit: 1.3,
    stretch: 1.15,
  },
  {
    name: 'added p50 at 200 requests a second, × raw Node’s',
    scenario: 'rate-200',
    metric: 'addedP50',
    against: 'raw',
    limit: 1.6,
    stretch: 1.3,
  },
  {
    name: 'added p99 at 200 requests a second, × Portkey’s',
    scenario: 'rate-200',
    metric: 'addedP99',
    against: 'portkey',
    limit: 0.4,
    stretch: 0.25,
  },
  {
    name: 'live memory of an open stream, × raw Node',
    scenario: 'open',
    metric: 'liveKbPerStream',
    against: 'raw',
    limit: 1.5,
    stretch: 1.2,
  },
];

const BILLING_OFF = 'gateway-free';

export function targetsOf(rows: readonly Row[]): Target[] {
  const targets = GOALS.map(({ name, scenario, metric, against, limit, stretch }): Target => {
    const row = rows.find(
      (candidate) =>
        candidate.subject === 'gateway' && candidate.scenario === scenario && candidate.metric === metric,
    );
    return { name, limit, stretch, measured: row?.ratios[against] };
  });
  return [
    ...targets,
    { name: 'billing’s share of the process’s CPU', limit: 0.2, stretch: 0.12, measured: billingShare(rows) },
  ];
}

/** What goes away when billing is switched off, over the whole. */
function billingShare(rows: readonly Row[]): Summary | undefined {
  const free = rows.find(
    ({ subject, scenario, metric }) =>
      subject === BILLING_OFF && scenario === WHOLE.scenario && metric === WHOLE.metric,
  )?.ratios['gateway'];
  if (!free) return undefined;
  return { median: 1 - free.median, q1: 1 - free.q3, q3: 1 - free.q1, rounds: free.rounds };
}

/** In words; where the quartiles lie on both sides of the limit, another run may say otherwise. */
export function verdict({ limit, stretch, measured }: Target): string {
  if (!measured) return 'not measured';
  const isMet = measured.median <= limit;
  if (measured.q1 <= limit && measured.q3 > limit) return isMet ? 'met, barely' : '**missed**, barely';
  if (!isMet) return '**missed**';
  return stretch !== undefined && measured.median <= stretch ? 'met, stretch too' : 'met';
}
