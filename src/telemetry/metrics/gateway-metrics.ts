import { Counter, Gauge, type Registry } from 'prom-client';
import { FastCounter, FastHistogram } from './fast-series.js';

/**
 * LLM answers take from tens of milliseconds (a cache hit, a small model) to minutes (reasoning), up to
 * REQUEST_TIMEOUT_SECONDS' default: a quantile is never told as more than the last bound.
 */
const LLM_SECONDS = [0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 13, 20, 30, 45, 60, 90, 120, 180, 300, 600];
/** What the gateway itself adds. */
const OVERHEAD_SECONDS = [
  0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1,
];
/** As OpenTelemetry's GenAI conventions advise, and on to what REQUEST_TIMEOUT_SECONDS and FIRST_CHUNK_TIMEOUT_SECONDS allow. */
const OTEL_DURATION_SECONDS = [
  0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84, 327.68,
  655.36,
];
const OTEL_FIRST_TOKEN_SECONDS = [
  0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 15, 30, 60, 120,
];
const OTEL_TOKENS = [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576];

/** How the gauges of several workers become one. */
export type Aggregator = 'sum' | 'max' | 'min';

const COMPLETION = ['model', 'provider'] as const;
const GEN_AI = ['gen_ai_operation_name', 'gen_ai_provider_name', 'gen_ai_request_model'] as const;

/**
 * Every series the gateway makes, in one list. Names never change once released: dashboards and alerts lean on them.
 *
 * What every request touches is a fast metric (fast-series.ts), the rest are prom-client's own.
 * Label values come from closed sets only: models of the catalogue, configured providers, error codes, route patterns.
 * Amounts are floating point and in units of BILLING_CURRENCY; the exact figures are in the ledger.
 */
export class GatewayMetrics {
  readonly requests;
  readonly requestDuration;
  readonly requestErrors;
  readonly rateLimitRequests;
  readonly firstToken;
  readonly tokens;
  readonly cost;
  readonly overhead;
  readonly stages;
  readonly attempts;
  readonly operationDuration;
  readonly tokenUsage;
  readonly breakerState;
  readonly breakerTransitions;
  readonly orphansReleased;
  readonly shortfall;
  readonly unknownCost;
  readonly cacheRequests;
  readonly idempotentReplays;
  readonly rateLimitMode;
  readonly authFailures;
  readonly adminActions;
  readonly auditMismatches;
  readonly unexpectedErrors;
  readonly httpRequests;
  readonly configReloads;
  readonly configRefused;

  constructor(readonly registry: Registry) {
    this.requests = this.#fastCounter(
      'llm_requests_total',
      'Completion requests by HTTP status (499: the client left).',
      [...COMPLETION, 'status'],
    );
    this.requestDuration = this.#fastHistogram(
      'llm_requests_duration_seconds',
      'Completion requests from arrival to the last byte.',
      COMPLETION,
      LLM_SECONDS,
    );
    this.requestErrors = this.#fastCounter(
      'llm_requests_errors_total',
      'Completion requests that ended with an error, by its code.',
      [...COMPLETION, 'code'],
    );
    this.rateLimitRequests = this.#fastCounter(
      'rate_limit_requests_total',
      'Requests counted against a rate limit.',
      ['scope', 'outcome'],
    );

    this.firstToken = this.#fastHistogram(
      'gen_ai_server_time_to_first_token_seconds',
      'Streams: from arrival to the first chunk for the client.',
      GEN_AI,
      OTEL_FIRST_TOKEN_SECONDS,
    );
    this.tokens = this.#fastCounter(
      'llm_tokens_total',
      'Tokens by kind; cached_input and cache_write are parts of input, reasoning of output.',
      [...COMPLETION, 'kind'],
    );
    this.cost = this.#fastCounter(
      'llm_cost_total',
      'Amounts charged to users, in units of BILLING_CURRENCY.',
      COMPLETION,
    );
    this.overhead = this.#fastHistogram(
      'llm_gateway_overhead_seconds',
      "The gateway's own share of a completion: its duration less the wait for providers.",
      ['stream'],
      OVERHEAD_SECONDS,
    );
    this.stages = this.#fastHistogram(
      'llm_gateway_stage_duration_seconds',
      "Durations of the gateway's own stages.",
      ['stage'],
      OVERHEAD_SECONDS,
    );

    this.attempts = this.#fastCounter(
      'llm_attempts_total',
      'Upstream calls by outcome: ok, client_gone or an error code (circuit_open, bulkhead_full: not made).',
      ['provider', 'model', 'outcome'],
    );
    this.operationDuration = this.#fastHistogram(
      'gen_ai_client_operation_duration_seconds',
      'Upstream calls as the gateway sees them.',
      GEN_AI,
      OTEL_DURATION_SECONDS,
    );
    this.tokenUsage = this.#fastHistogram(
      'gen_ai_client_token_usage',
      'Tokens of one completion.',
      [...GEN_AI, 'gen_ai_token_type'],
      OTEL_TOKENS,
    );
    this.breakerState = this.#gauge(
      'llm_gateway_circuit_breaker_state',
      '0 closed, 1 half open, 2 open.',
      ['provider', 'model'],
      'max',
    );
    this.breakerTransitions = this.#counter(
      'llm_gateway_circuit_breaker_transitions_total',
      'Changes of state.',
      ['provider', 'model', 'state'],
    );

    this.orphansReleased = this.#counter(
      'llm_gateway_orphaned_holds_released_total',
      'Holds of dead instances given back, by evidence or by timer.',
      ['reason'],
    );
    this.shortfall = this.#counter(
      'llm_gateway_shortfall_total',
      'Cost beyond hold and balance that the operator bears, in units of BILLING_CURRENCY. Expected: 0.',
      ['model'],
    );
    this.unknownCost = this.#counter(
      'llm_gateway_unknown_cost_total',
      'Calls the provider may bill although no usage is known.',
      ['provider'],
    );
    this.auditMismatches = this.#gauge(
      'llm_gateway_audit_mismatches',
      'Rows that the last ledger audit found wrong. Expected: 0.',
      ['check'],
      'max',
    );
    this.idempotentReplays = this.#counter(
      'llm_gateway_idempotent_replays_total',
      'Answers replayed under an Idempotency-Key.',
    );

    this.cacheRequests = this.#counter('llm_gateway_cache_requests_total', 'Look-ups in the caches.', [
      'cache',
      'outcome',
    ]);
    this.rateLimitMode = this.#gauge(
      'llm_gateway_rate_limit_mode',
      '1 for the storage that counts now: redis, memory, or degraded (Redis is unavailable).',
      ['mode'],
      'max',
    );
    this.authFailures = this.#counter('llm_gateway_auth_failures_total', 'Refused tokens.', ['code']);
    this.adminActions = this.#counter('llm_gateway_admin_actions_total', 'Administrative changes.', [
      'action',
    ]);
    this.unexpectedErrors = this.#counter(
      'llm_gateway_unexpected_errors_total',
      'Unexpected errors; each is in the log.',
    );
    this.httpRequests = this.#counter('llm_gateway_http_requests_total', 'Requests of the other routes.', [
      'method',
      'route',
      'status',
    ]);
    this.configReloads = this.#counter(
      'llm_gateway_config_reloads_total',
      'Reloads of the GATEWAY_CONFIG file after a SIGHUP, by outcome: applied or refused.',
      ['outcome'],
    );
    this.configRefused = this.#gauge(
      'llm_gateway_config_refused',
      '1 while the GATEWAY_CONFIG file, as last read, has faults and an older one is in force.',
      [],
      'max',
    );
  }

  /** A figure that is read at each scrape; while it cannot be read, its last value stays. */
  readGauge(options: { name: string; help: string; aggregator: Aggregator }, read: () => number): void {
    this.#forget(options.name);
    new Gauge({
      ...options,
      registers: [this.registry],
      collect() {
        try {
          this.set(read());
        } catch {
          // a figure that fails must not cost the whole page
        }
      },
    });
  }

  #fastCounter<Label extends string>(
    name: string,
    help: string,
    labels: readonly Label[],
  ): FastCounter<Label> {
    return new FastCounter(name, help, labels, this.registry);
  }

  #fastHistogram<Label extends string>(
    name: string,
    help: string,
    labels: readonly Label[],
    bounds: number[],
  ): FastHistogram<Label> {
    return new FastHistogram(name, help, labels, bounds, this.registry);
  }

  #counter<Label extends string>(
    name: string,
    help: string,
    labelNames: readonly Label[] = [],
  ): Counter<Label> {
    this.#forget(name);
    return new Counter({ name, help, labelNames: [...labelNames], registers: [this.registry] });
  }

  #gauge<Label extends string>(
    name: string,
    help: string,
    labelNames: readonly Label[] = [],
    aggregator: 'sum' | 'max' = 'sum',
  ): Gauge<Label> {
    this.#forget(name);
    return new Gauge({ name, help, labelNames: [...labelNames], aggregator, registers: [this.registry] });
  }

  /** A second application in one process (tests) takes the names over. */
  #forget(name: string): void {
    this.registry.removeSingleMetric(name);
  }
}
