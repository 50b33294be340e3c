import type { Usage } from '@app/contracts';
import { nanoToNumber } from '../currency-units.js';
import type { AttemptRecord, GatewayEvent, RequestRecord, TelemetrySink } from '../telemetry.js';
import type { GatewayMetrics } from './gateway-metrics.js';
import type { UserBalanceGauge } from './user-balance.gauge.js';

const OPERATION = 'chat';
const BREAKER_STATES = { closed: 0, half_open: 1, open: 2 } as const;
const RATE_LIMIT_MODES = ['redis', 'memory', 'degraded'] as const;

/**
 * A wildcard model of GATEWAY_CONFIG may have any name, and names come from clients: beyond so many, models share the
 * label `other`.
 */
const MAX_MODELS = 500;

/** Facts -> series. Costs a few microseconds a request: see metrics/README.md. */
export class PrometheusSink implements TelemetrySink {
  readonly #models = new Set<string>();

  constructor(
    private readonly metrics: GatewayMetrics,
    private readonly balances: UserBalanceGauge | undefined,
  ) {}

  request(record: RequestRecord): void {
    const { metrics } = this;
    const model = this.#model(record.model);
    const provider = record.provider ?? 'none';
    const labels = { model, provider };
    metrics.requests.inc({ model, provider, status: String(record.status) });
    metrics.requestDuration.observe(labels, record.durationMs / 1000);
    if (record.errorCode) metrics.requestErrors.inc({ model, provider, code: record.errorCode });
    if (record.costNanoUsd) metrics.cost.inc(labels, nanoToNumber(record.costNanoUsd));
    metrics.overhead.observe(
      { stream: String(record.stream) },
      Math.max(0, record.durationMs - record.upstreamMs) / 1000,
    );
    for (const stage in record.stagesMs)
      metrics.stages.observe({ stage }, (record.stagesMs[stage] ?? 0) / 1000);
    if (record.stream && record.timeToFirstChunkMs !== undefined) {
      metrics.firstToken.observe(genAi(model, provider), record.timeToFirstChunkMs / 1000);
    }
    if (record.usage) this.#tokens(model, provider, record.usage);
    for (const attempt of record.attempts) this.#attempt(model, attempt);
    if (record.idempotentReplay) metrics.idempotentReplays.inc();
  }

  event(event: GatewayEvent): void {
    const { metrics } = this;
    switch (event.kind) {
      case 'rate-limit':
        return void metrics.rateLimitRequests.inc({ scope: event.scope, outcome: event.outcome });
      case 'rate-limit-mode':
        for (const mode of RATE_LIMIT_MODES) metrics.rateLimitMode.set({ mode }, mode === event.mode ? 1 : 0);
        return;
      case 'breaker':
        return this.#breaker(event.provider, this.#model(event.model), event.state);
      case 'cache':
        return void metrics.cacheRequests.inc({ cache: event.cache, outcome: event.outcome });
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
    if (this.#models.size >= MAX_MODELS) return 'other';
    this.#models.add(name);
    return name;
  }

  #breaker(provider: string, model: string, state: keyof typeof BREAKER_STATES): void {
    this.metrics.breakerState.set({ provider, model }, BREAKER_STATES[state]);
    this.metrics.breakerTransitions.inc({ provider, model, state });
  }

  #attempt(model: string, attempt: AttemptRecord): void {
    this.metrics.attempts.inc({ provider: attempt.provider, model, outcome: attempt.outcome });
    this.metrics.operationDuration.observe(genAi(model, attempt.provider), attempt.durationMs / 1000);
  }

  #tokens(model: string, provider: string, usage: Usage): void {
    this.#count(model, provider, 'input', usage.inputTokens);
    this.#count(model, provider, 'output', usage.outputTokens);
    this.#count(model, provider, 'cached_input', usage.cacheReadInputTokens);
    this.#count(model, provider, 'cache_write', usage.cacheCreationInputTokens);
    this.#count(model, provider, 'reasoning', usage.reasoningOutputTokens);
    const labels = genAi(model, provider);
    this.metrics.tokenUsage.observe({ ...labels, gen_ai_token_type: 'input' }, usage.inputTokens);
    this.metrics.tokenUsage.observe({ ...labels, gen_ai_token_type: 'output' }, usage.outputTokens);
  }

  /** Unknown is not zero: what was not reported makes no series. */
  #count(model: string, provider: string, kind: string, tokens: number | undefined): void {
    if (tokens !== undefined) this.metrics.tokens.inc({ model, provider, kind }, tokens);
  }
}

function genAi(model: string, provider: string) {
  return { gen_ai_operation_name: OPERATION, gen_ai_provider_name: provider, gen_ai_request_model: model };
}
