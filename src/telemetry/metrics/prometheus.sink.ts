import { nanoToNumber } from '../currency-units.js';
import { providerOf } from '../provider-of.js';
import type { GatewayEvent, RequestRecord, TelemetrySink } from '../telemetry.js';
import { AttemptSeries, CompletionSeries } from './completion-series.js';
import type { CounterSeries, HistogramSeries } from './fast-series.js';
import type { GatewayMetrics } from './gateway-metrics.js';
import type { UserBalanceGauge } from './user-balance.gauge.js';

const BREAKER_STATES = { closed: 0, half_open: 1, open: 2 } as const;
const RATE_LIMIT_MODES = ['redis', 'memory', 'degraded'] as const;

/**
 * A wildcard model of GATEWAY_CONFIG may have any name, and names come from clients: beyond so many, models share the
 * label `other`.
 */
const MAX_MODELS = 500;
/**
 * Nine of ten lines of the page are the histograms of each model at each provider, 9 to 13 kB for a pair. So many models have
 * histograms of their own; the others have counters of their own and share the histograms of `other`.
 */
const MAX_TIMED_MODELS = 150;
const OTHER = 'other';

/** Facts -> series. Every request passes here: its series are found once and kept. */
export class PrometheusSink implements TelemetrySink {
  readonly #models = new Set<string>();
  readonly #timedModels = new Set<string>();
  readonly #completions: ByPair<CompletionSeries>;
  readonly #attempts: ByPair<AttemptSeries>;
  readonly #stages = new Map<string, HistogramSeries>();
  readonly #rateLimits: ByPair<CounterSeries>;
  readonly #overhead: { readonly whole: HistogramSeries; readonly stream: HistogramSeries };

  constructor(
    private readonly metrics: GatewayMetrics,
    private readonly balances: UserBalanceGauge | undefined,
  ) {
    this.#completions = new ByPair(
      (model, provider) => new CompletionSeries(metrics, model, provider, this.#timedModel(model)),
    );
    this.#attempts = new ByPair(
      (model, provider) => new AttemptSeries(metrics, model, provider, this.#timedModel(model)),
    );
    this.#rateLimits = new ByPair((scope, outcome) => metrics.rateLimitRequests.series({ scope, outcome }));
    this.#overhead = {
      whole: metrics.overhead.series({ stream: 'false' }),
      stream: metrics.overhead.series({ stream: 'true' }),
    };
  }

  request(record: RequestRecord): void {
    const model = this.#model(record.model);
    this.#completions.of(model, providerOf(record) ?? 'none').add(record);
    for (const { provider, outcome, durationMs } of record.attempts) {
      this.#attempts.of(model, provider).add(outcome, durationMs);
    }
    const overheadMs = Math.max(0, record.durationMs - record.upstreamMs);
    (record.stream ? this.#overhead.stream : this.#overhead.whole).observe(overheadMs / 1000);
    for (const stage in record.stagesMs) this.#stage(stage).observe((record.stagesMs[stage] ?? 0) / 1000);
    if (record.idempotentReplay) this.metrics.idempotentReplays.inc();
  }

  event(event: GatewayEvent): void {
    const { metrics } = this;
    switch (event.kind) {
      case 'rate-limit':
        return this.#rateLimits.of(event.scope, event.outcome).add();
      case 'rate-limit-mode':
        for (const mode of RATE_LIMIT_MODES) metrics.rateLimitMode.set({ mode }, mode === event.mode ? 1 : 0);
        return;
      case 'breaker':
        return this.#breaker(event.provider, this.#model(event.model), event.state);
      case 'breaker-forgotten':
        return metrics.breakerState.remove({
          provider: event.provider,
          // one that was never told of gets no label now
          model: this.#models.has(event.model) ? event.model : OTHER,
        });
      case 'cache':
        return void metrics.cacheRequests.inc({ cache: event.cache, outcome: event.outcome });
      case 'config-reload':
        metrics.configReloads.inc({ outcome: event.isRefused ? 'refused' : 'applied' });
        return metrics.configRefused.set(event.isRefused ? 1 : 0);
      case 'balance':
        return this.balances?.seen(event.userId, nanoToNumber(event.balanceNanoUsd));
      case 'shortfall':
        return void metrics.shortfall.inc(
          { model: this.#model(event.model) },
          nanoToNumber(event.amountNanoUsd),
        );
      case 'unknown-cost':
        return void metrics.unknownCost.inc({ provider: event.provider });
      case 'orphan-released':
        return void metrics.orphansReleased.inc({ reason: event.reason }, event.count);
      case 'audit-mismatch':
        return metrics.auditMismatches.set({ check: event.check }, event.count);
      case 'auth-failure':
        return void metrics.authFailures.inc({ code: event.code });
      case 'admin-action':
        return void metrics.adminActions.inc({ action: event.action });
      case 'unexpected-error':
        return void metrics.unexpectedErrors.inc();
      case 'access':
        return void metrics.httpRequests.inc({
          method: event.method,
          route: event.route ?? 'none',
          status: String(event.status),
        });
      case 'outage-credit':
      case 'idempotent-replay':
        return; // read as a gauge; counted from the request's record
      default:
        return event satisfies never;
    }
  }

  #model(name: string): string {
    if (this.#models.has(name)) return name;
    if (this.#models.size >= MAX_MODELS) return OTHER;
    this.#models.add(name);
    return name;
  }

  #timedModel(name: string): string {
    if (this.#timedModels.size < MAX_TIMED_MODELS) this.#timedModels.add(name);
    return this.#timedModels.has(name) ? name : OTHER;
  }

  #breaker(provider: string, model: string, state: keyof typeof BREAKER_STATES): void {
    this.metrics.breakerState.set({ provider, model }, BREAKER_STATES[state]);
    this.metrics.breakerTransitions.inc({ provider, model, state });
  }

  #stage(stage: string): HistogramSeries {
    let series = this.#stages.get(stage);
    if (!series) this.#stages.set(stage, (series = this.metrics.stages.series({ stage })));
    return series;
  }
}

/** What is made once for two names. A key put together of both would be copied and hashed with every look. */
class ByPair<Value> {
  readonly #known = new Map<string, Map<string, Value>>();

  constructor(private readonly make: (first: string, second: string) => Value) {}

  of(first: string, second: string): Value {
    let bySecond = this.#known.get(first);
    if (!bySecond) this.#known.set(first, (bySecond = new Map()));
    let value = bySecond.get(second);
    if (value === undefined) bySecond.set(second, (value = this.make(first, second)));
    return value;
  }
}
