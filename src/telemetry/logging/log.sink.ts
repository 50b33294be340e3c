import { formatNano } from '@app/money';
import { describeError } from '../describe-error.js';
import { maskSecrets } from '../mask-secrets.js';
import { providerOf } from '../provider-of.js';
import type { GatewayEvent, AttemptRecord, RequestRecord, TelemetrySink } from '../telemetry.js';
import type { Logs } from './logs.js';

/** Routes that are asked every few seconds by machines. */
const QUIET_PATH = /^\/(?:health|ready|metrics|ops)(?:\/|$)/;

type AccessEvent = Extract<GatewayEvent, { kind: 'access' }>;

/** One line for a request, one for what an operator should know. Only the fields named here are ever written. */
export class LogSink implements TelemetrySink {
  constructor(private readonly logs: Logs) {}

  request(record: RequestRecord): void {
    this.logs.info(() => {
      const line = requestLine(record);
      return this.logs.debug ? { ...line, ...requestDetails(record) } : line;
    }, 'completion');
  }

  event(event: GatewayEvent): void {
    switch (event.kind) {
      case 'access':
        return this.#access(event);
      case 'auth-failure':
        return this.logs.audit.warn(
          {
            code: event.code,
            method: event.method,
            path: shownPath(event.path),
            request_id: event.requestId,
            client_address: event.clientAddress,
            user_id: event.userId,
          },
          'auth refused',
        );
      case 'admin-action':
        return this.logs.audit.info(
          {
            action: event.action,
            actor: event.actor,
            subject: event.subject,
            request_id: event.requestId,
            client_address: event.clientAddress,
            details: event.details,
          },
          'admin action',
        );
      case 'unexpected-error':
        return this.logs.lines.error(
          {
            where: event.where,
            request_id: event.requestId,
            user_id: event.userId,
            model: event.model,
            provider: event.provider,
            error: describeError(event.error),
          },
          'unexpected error',
        );
      case 'breaker':
        return this.logs.lines.warn(
          { provider: event.provider, model: event.model, state: event.state, cause: event.cause },
          'circuit breaker changed',
        );
      case 'shortfall':
        return this.logs.lines.error(
          {
            model: event.model,
            amount: formatNano(event.amountNanoUsd),
            request_id: event.requestId,
            user_id: event.userId,
          },
          'a request cost more than could be charged',
        );
      case 'unknown-cost':
        return this.logs.lines.error(
          {
            provider: event.provider,
            model: event.model,
            request_id: event.requestId,
            user_id: event.userId,
          },
          'a provider may bill a call whose cost is unknown',
        );
      case 'audit-mismatch':
        return this.#audit(event.check, event.count);
      case 'orphan-released':
        return this.logs.lines.warn(
          { reason: event.reason, count: event.count },
          'holds of a dead instance released',
        );
      case 'rate-limit':
      case 'rate-limit-mode': // told by the limiter itself, with the reason
      case 'breaker-forgotten':
      case 'config-reload': // told by the store of the file, with the faults
      case 'cache':
      case 'balance':
      case 'outage-credit':
      case 'idempotent-replay':
        return; // figures, not news
      default:
        return event satisfies never;
    }
  }

  #access(event: AccessEvent): void {
    const level = QUIET_PATH.test(event.path) && event.status < 500 ? 'debug' : 'info';
    this.logs.lines[level](
      {
        method: event.method,
        path: shownPath(event.path),
        status: event.status,
        error_code: event.errorCode,
        duration_ms: rounded(event.durationMs),
        request_id: event.requestId,
        user_id: event.userId,
      },
      'request',
    );
  }

  #audit(check: string, count: number): void {
    if (count > 0) this.logs.lines.error({ check, count }, 'the ledger audit found rows that do not add up');
  }
}

function shownPath(path: string): string {
  return maskSecrets(path.slice(0, 200));
}

function requestLine(record: RequestRecord): Record<string, unknown> {
  return {
    model: record.model,
    user_id: record.userId,
    duration_ms: rounded(record.durationMs),
    request_id: record.requestId,
    provider: providerOf(record),
    upstream_model: record.upstreamModel,
    status: record.status,
    error_code: record.errorCode,
    stream: record.stream,
    input_tokens: record.usage?.inputTokens,
    cached_tokens: record.usage?.cacheReadInputTokens,
    output_tokens: record.usage?.outputTokens,
    reasoning_tokens: record.usage?.reasoningOutputTokens,
    cost: record.costNanoUsd === undefined ? undefined : formatNano(record.costNanoUsd),
    attempts: record.attempts.length,
    failed_calls: failedCalls(record),
    first_chunk_ms: optionalRounded(record.timeToFirstChunkMs),
    upstream_ms: rounded(record.upstreamMs),
    finish_reason: record.finishReason,
    cache: record.cache === 'BYPASS' ? undefined : record.cache,
    replay: record.idempotentReplay || undefined,
    traceparent: record.traceparent,
  };
}

const hasFailed = ({ outcome }: AttemptRecord): boolean => outcome !== 'ok' && outcome !== 'client_gone';

/** Why an answer failed, was late, or came from another model than the first: what was refused, and by whom. */
function failedCalls({ attempts }: RequestRecord): Record<string, unknown>[] | undefined {
  if (!attempts.some(hasFailed)) return undefined;
  return attempts.filter(hasFailed).map((attempt) => ({
    provider: attempt.provider,
    model: attempt.upstreamModel,
    outcome: attempt.outcome,
    upstream_status: attempt.upstreamStatus,
    connection: attempt.connectionFailure,
    provider_request_id: attempt.providerRequestId,
  }));
}

/** With DEBUG: where the time went, call by call. Still no content. */
function requestDetails(record: RequestRecord): Record<string, unknown> {
  return {
    billing_id: record.billingId,
    stages_ms: Object.fromEntries(Object.entries(record.stagesMs).map(([stage, ms]) => [stage, rounded(ms)])),
    calls: record.attempts.map((attempt) => ({
      provider: attempt.provider,
      model: attempt.upstreamModel,
      outcome: attempt.outcome,
      duration_ms: rounded(attempt.durationMs),
      first_chunk_ms: optionalRounded(attempt.timeToFirstChunkMs),
      upstream_status: attempt.upstreamStatus,
      provider_request_id: attempt.providerRequestId,
    })),
  };
}

/** Milliseconds to the microsecond. */
function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}

function optionalRounded(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : rounded(ms);
}
