import { WORKER_DEATHS } from '../telemetry/metrics/cluster-metrics.js';
import type { Sample } from './parse-metrics-text.js';

export interface ModelTraffic {
  readonly model: string;
  readonly provider: string;
  readonly requests: number;
  /** Requests with a status of 500 and above. */
  readonly failed: number;
  readonly input_tokens: number;
  readonly output_tokens: number;
  /** In units of BILLING_CURRENCY, for the eye; the ledger has the exact figures. */
  readonly cost: number;
}

/** A histogram's running counts over all its labels: `counts[i]` observations were at most `bounds[i]` seconds. */
export interface CumulativeHistogram {
  readonly bounds: readonly number[];
  readonly counts: readonly number[];
  readonly count: number;
}

export interface OpsSummary {
  readonly workers: number;
  /** Ended by a fault or a kill, and replaced. */
  readonly worker_deaths: number;
  readonly requests: {
    readonly total: number;
    readonly failed: number;
    readonly by_status: Readonly<Record<string, number>>;
  };
  readonly models: readonly ModelTraffic[];
  readonly errors: Readonly<Record<string, number>>;
  readonly attempts: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly latency: CumulativeHistogram;
  readonly first_token: CumulativeHistogram;
  readonly overhead: CumulativeHistogram;
  readonly rate_limits: Readonly<Record<string, number>>;
  readonly cache: Readonly<Record<string, number>>;
  /** Figures that should be zero or near it, by metric name without prefix. Absent = nobody reported it. */
  readonly money: Readonly<Record<string, number>>;
  readonly streams_open: number;
  readonly cost_total: number;
  readonly tokens_total: number;
  readonly dropped: Readonly<Record<string, number>>;
}

const MONEY = [
  'holds_open',
  'orphaned_holds_released_total',
  'journal_unsettled_records',
  'journal_oldest_seconds',
  'shortfall_total',
  'unknown_cost_total',
  'outage_credit_used',
  'audit_mismatches',
] as const;

/** Most of the page are histograms of each model, and of no use here. */
export function isOfSummary({ name }: Sample): boolean {
  return !name.startsWith('gen_ai_client_');
}

/** The instance's counters since its start, in one page of JSON. Rates are the reader's: two readings and a difference. */
export function buildSummary(samples: readonly Sample[]): OpsSummary {
  const requests = samples.filter(({ name }) => name === 'llm_requests_total');
  return {
    workers: total(samples, 'llm_gateway_workers'),
    worker_deaths: total(samples, WORKER_DEATHS.name),
    requests: {
      total: sum(requests),
      failed: sum(requests.filter(isServerError)),
      by_status: sumBy(requests, 'status'),
    },
    models: models(samples, requests),
    errors: sumBy(named(samples, 'llm_requests_errors_total'), 'code'),
    attempts: attempts(samples),
    latency: histogram(samples, 'llm_requests_duration_seconds'),
    first_token: histogram(samples, 'gen_ai_server_time_to_first_token_seconds'),
    overhead: histogram(samples, 'llm_gateway_overhead_seconds'),
    rate_limits: sumBy(named(samples, 'rate_limit_requests_total'), 'outcome'),
    cache: sumBy(
      named(samples, 'llm_gateway_cache_requests_total').filter(({ labels }) => labels.cache === 'response'),
      'outcome',
    ),
    money: money(samples),
    streams_open: total(samples, 'llm_gateway_streams_open'),
    cost_total: total(samples, 'llm_cost_total'),
    tokens_total: sum(named(samples, 'llm_tokens_total').filter(isWhole)),
    dropped: sumBy(named(samples, 'llm_gateway_telemetry_dropped_total'), 'sink'),
  };
}

/** Each sample is looked at once: there may be thousands of models, and requests wait meanwhile. */
function models(samples: readonly Sample[], requests: readonly Sample[]): ModelTraffic[] {
  const tokens = byTarget(named(samples, 'llm_tokens_total'));
  const cost = byTarget(named(samples, 'llm_cost_total'));
  const ofKind = (own: readonly Sample[], wanted: string) =>
    sum(own.filter(({ labels: { kind } }) => kind === wanted));
  return [...byTarget(requests)]
    .map(([target, own]) => {
      const ownTokens = tokens.get(target) ?? [];
      return {
        model: own[0]?.labels.model ?? '',
        provider: own[0]?.labels.provider ?? '',
        requests: sum(own),
        failed: sum(own.filter(isServerError)),
        input_tokens: ofKind(ownTokens, 'input'),
        output_tokens: ofKind(ownTokens, 'output'),
        cost: sum(cost.get(target) ?? []),
      };
    })
    .sort((left, right) => right.requests - left.requests);
}

function byTarget(samples: readonly Sample[]): Map<string, Sample[]> {
  return Map.groupBy(samples, ({ labels }) => `${labels.model}\n${labels.provider}`);
}

function attempts(samples: readonly Sample[]): Record<string, Record<string, number>> {
  const byProvider: Record<string, Sample[]> = {};
  for (const sample of named(samples, 'llm_attempts_total')) {
    (byProvider[sample.labels.provider ?? ''] ??= []).push(sample);
  }
  return Object.fromEntries(
    Object.entries(byProvider).map(([provider, outcomes]) => [provider, sumBy(outcomes, 'outcome')]),
  );
}

function histogram(samples: readonly Sample[], name: string): CumulativeHistogram {
  const byBound = new Map<number, number>();
  for (const { labels, value } of named(samples, `${name}_bucket`)) {
    if (labels.le === '+Inf') continue;
    byBound.set(Number(labels.le), (byBound.get(Number(labels.le)) ?? 0) + value);
  }
  const sorted = [...byBound].sort(([left], [right]) => left - right);
  return {
    bounds: sorted.map(([bound]) => bound),
    counts: sorted.map(([, count]) => count),
    count: total(samples, `${name}_count`),
  };
}

function money(samples: readonly Sample[]): Record<string, number> {
  const reported = MONEY.filter((name) => samples.some((sample) => sample.name === `llm_gateway_${name}`));
  return Object.fromEntries(reported.map((name) => [name, total(samples, `llm_gateway_${name}`)]));
}

function named(samples: readonly Sample[], name: string): Sample[] {
  return samples.filter((sample) => sample.name === name);
}

function total(samples: readonly Sample[], name: string): number {
  return sum(named(samples, name));
}

function sum(samples: readonly Sample[]): number {
  return samples.reduce((all, { value }) => all + value, 0);
}

function sumBy(samples: readonly Sample[], label: string): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const { labels, value } of samples)
    sums[labels[label] ?? ''] = (sums[labels[label] ?? ''] ?? 0) + value;
  return sums;
}

function isServerError({ labels }: Sample): boolean {
  return Number(labels.status) >= 500;
}

/** The other kinds of tokens are parts of these. */
function isWhole({ labels }: Sample): boolean {
  return labels.kind === 'input' || labels.kind === 'output';
}
