import { randomBytes } from 'node:crypto';
import type { NodeOptions } from '@sentry/nestjs';
import { providerOf } from '../provider-of.js';
import type { AttemptRecord, RequestRecord } from '../telemetry.js';
import { withoutUndefined } from '../without-undefined.js';

export type TransactionEvent = Parameters<NonNullable<NodeOptions['beforeSendTransaction']>>[0];
type SpanJSON = NonNullable<TransactionEvent['spans']>[number];

/** The ids of the trace a request belongs to. */
export interface TraceIds {
  readonly traceId: string;
  readonly parentSpanId: string | undefined;
  /** What the caller decided; `undefined` when there was none. */
  readonly parentSampled: boolean | undefined;
}

/** The caller's trace, or a new one. */
export function traceOf(traceparent: string | undefined): TraceIds {
  if (traceparent === undefined) {
    return { traceId: newSpanId() + newSpanId(), parentSpanId: undefined, parentSampled: undefined };
  }
  const [, traceId = '', parentSpanId = '', flags = '00'] = traceparent.split('-');
  return { traceId, parentSpanId, parentSampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

/** A share of the traces; the same answer wherever the same trace passes. */
export function isSampled(trace: TraceIds, rate: number): boolean {
  if (trace.parentSampled === false) return false;
  return Number.parseInt(trace.traceId.slice(-8), 16) < rate * 0x1_0000_0000;
}

/**
 * A finished completion as a transaction with its spans, built after the fact. No prompt, no answer, no key is in a
 * `RequestRecord` field that is read here.
 *
 * Stages have durations only: those before the first upstream call are laid end to end from the start, `settle` ends
 * with the request.
 */
export function buildTransaction(record: RequestRecord, trace: TraceIds): TransactionEvent {
  const spanId = newSpanId();
  const start = record.startedAt.getTime() / 1000;
  const end = start + record.durationMs / 1000;
  const parent = { trace_id: trace.traceId, parent_span_id: spanId };
  return {
    type: 'transaction',
    platform: 'node',
    transaction: record.stream ? 'chat.completions (stream)' : 'chat.completions',
    transaction_info: { source: 'custom' },
    start_timestamp: start,
    timestamp: end,
    contexts: {
      trace: {
        trace_id: trace.traceId,
        span_id: spanId,
        ...(trace.parentSpanId && { parent_span_id: trace.parentSpanId }),
        op: 'http.server',
        status: spanStatus(record.status),
        origin: 'manual',
        data: requestData(record),
      },
    },
    tags: {
      request_id: record.requestId,
      model: record.model,
      provider: providerOf(record) ?? 'none',
      status: record.status,
      stream: record.stream,
      ...(record.errorCode && { code: record.errorCode }),
    },
    ...(record.userId && { user: { id: record.userId } }),
    spans: [
      ...stageSpans(record, start, end, parent),
      ...record.attempts.map((attempt) => attemptSpan(attempt, parent)),
    ],
  };
}

type Parent = Pick<SpanJSON, 'trace_id' | 'parent_span_id'>;

function stageSpans(record: RequestRecord, start: number, end: number, parent: Parent): SpanJSON[] {
  let at = start;
  return Object.entries(record.stagesMs).map(([stage, ms]) => {
    const seconds = ms / 1000;
    const startedAt = stage === 'settle' ? end - seconds : at;
    if (stage !== 'settle') at += seconds;
    return {
      ...parent,
      span_id: newSpanId(),
      op: `gateway.${stage}`,
      description: stage,
      start_timestamp: startedAt,
      timestamp: startedAt + seconds,
      status: 'ok',
      origin: 'manual',
      data: {},
    };
  });
}

function attemptSpan(attempt: AttemptRecord, parent: Parent): SpanJSON {
  const start = attempt.startedAt.getTime() / 1000;
  return {
    ...parent,
    span_id: newSpanId(),
    op: 'gen_ai.chat',
    description: `chat ${attempt.upstreamModel}`,
    start_timestamp: start,
    timestamp: start + attempt.durationMs / 1000,
    status: attempt.outcome === 'ok' ? 'ok' : 'internal_error',
    origin: 'manual',
    data: withoutUndefined({
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': attempt.provider,
      'gen_ai.request.model': attempt.upstreamModel,
      'gen_ai.response.time_to_first_chunk': seconds(attempt.timeToFirstChunkMs),
      'gateway.outcome': attempt.outcome,
      'http.response.status_code': attempt.upstreamStatus,
      'gateway.provider_request_id': attempt.providerRequestId,
    }),
  };
}

function requestData(record: RequestRecord): Record<string, string | number | boolean> {
  return withoutUndefined({
    'gen_ai.request.model': record.model,
    'gen_ai.response.model': record.upstreamModel,
    'gen_ai.provider.name': record.provider,
    'gen_ai.usage.input_tokens': record.usage?.inputTokens,
    'gen_ai.usage.output_tokens': record.usage?.outputTokens,
    'gen_ai.response.time_to_first_chunk': seconds(record.timeToFirstChunkMs),
    'http.response.status_code': record.status,
    'gateway.upstream_ms': record.upstreamMs,
    'gateway.cache': record.cache,
  });
}

function seconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms / 1000;
}

/** HTTP status -> Sentry's words. */
function spanStatus(status: number): string {
  if (status < 400) return 'ok';
  if (status === 401) return 'unauthenticated';
  if (status === 403) return 'permission_denied';
  if (status === 404) return 'not_found';
  if (status === 429 || status === 402) return 'resource_exhausted';
  if (status === 499) return 'cancelled';
  if (status === 504) return 'deadline_exceeded';
  if (status === 503) return 'unavailable';
  return status < 500 ? 'invalid_argument' : 'internal_error';
}

/** Random bytes are drawn in blocks: asking the system for eight at a time costs more than all the rest. */
let pool = '';
function newSpanId(): string {
  if (pool.length === 0) pool = randomBytes(8 * 256).toString('hex');
  const id = pool.slice(0, 16);
  pool = pool.slice(16);
  return id;
}
