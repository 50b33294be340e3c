import type { Usage } from '@app/contracts';
import type { Langfuse } from 'langfuse';
import { formatNano } from '@app/money';
import { nanoToNumber } from '../currency-units.js';
import { providerOf } from '../provider-of.js';
import type { AttemptRecord, RequestRecord } from '../telemetry.js';
import { withoutUndefined } from '../without-undefined.js';
import { modelParameters } from './trace-content.js';

type TraceBody = NonNullable<Parameters<Langfuse['trace']>[0]>;
type GenerationBody = Parameters<Langfuse['generation']>[0];

/** Input and output of a request as they may be traced; empty unless LANGFUSE_CAPTURE_CONTENT. */
export interface TracedContent {
  readonly input?: unknown;
  readonly output?: unknown;
}

/** The trace of one request. Its id is the gateway's own: clients choose request ids, and could choose another's. */
export function buildTrace(record: RequestRecord, content: TracedContent): TraceBody {
  return {
    id: record.billingId,
    name: 'chat.completions',
    timestamp: record.startedAt,
    userId: record.userId,
    tags: [record.model],
    ...content,
    metadata: withoutUndefined({
      request_id: record.requestId,
      model: record.model,
      provider: providerOf(record),
      status: record.status,
      error_code: record.errorCode,
      stream: record.stream,
      cache: record.cache,
      idempotent_replay: record.idempotentReplay || undefined,
      duration_ms: record.durationMs,
      cost: record.costNanoUsd === undefined ? undefined : formatNano(record.costNanoUsd),
      traceparent: record.traceparent,
    }),
  };
}

/** One generation for each upstream call; tokens, cost and content stand at the one that served. */
export function buildGenerations(record: RequestRecord, content: TracedContent): GenerationBody[] {
  const serving = servingAttempt(record);
  return record.attempts.map((attempt) => ({
    traceId: record.billingId,
    name: `${attempt.provider}/${attempt.upstreamModel}`,
    model: attempt.upstreamModel,
    modelParameters: modelParameters(record.content?.parameters),
    startTime: attempt.startedAt,
    endTime: after(attempt.startedAt, attempt.durationMs),
    ...(attempt.timeToFirstChunkMs !== undefined && {
      completionStartTime: after(attempt.startedAt, attempt.timeToFirstChunkMs),
    }),
    level: level(attempt),
    statusMessage: attempt.outcome,
    metadata: withoutUndefined({
      provider: attempt.provider,
      upstream_status: attempt.upstreamStatus,
      provider_request_id: attempt.providerRequestId,
      finish_reason: attempt === serving ? record.finishReason : undefined,
    }),
    ...(attempt === serving && { ...usageAndCost(record), ...content }),
  }));
}

/** The last call: all before it failed. Nobody served a request that ended with an error before any usage. */
function servingAttempt(record: RequestRecord): AttemptRecord | undefined {
  return record.attempts.findLast((attempt) => attempt.outcome === 'ok') ?? record.attempts.at(-1);
}

function usageAndCost(record: RequestRecord): Pick<GenerationBody, 'usageDetails' | 'costDetails'> {
  return {
    ...(record.usage && { usageDetails: usageDetails(record.usage) }),
    ...(record.costNanoUsd !== undefined && { costDetails: { total: nanoToNumber(record.costNanoUsd) } }),
  };
}

/** Langfuse adds its kinds up: parts are taken out of the whole they belong to. */
function usageDetails(usage: Usage): Record<string, number> {
  const cached = usage.cacheReadInputTokens ?? 0;
  const written = usage.cacheCreationInputTokens ?? 0;
  const reasoning = usage.reasoningOutputTokens ?? 0;
  return withoutUndefined({
    input: Math.max(0, usage.inputTokens - cached - written),
    input_cached_tokens: usage.cacheReadInputTokens,
    input_cache_creation: usage.cacheCreationInputTokens,
    output: Math.max(0, usage.outputTokens - reasoning),
    output_reasoning_tokens: usage.reasoningOutputTokens,
    total: usage.inputTokens + usage.outputTokens,
  });
}

function level(attempt: AttemptRecord): 'DEFAULT' | 'WARNING' | 'ERROR' {
  if (attempt.outcome === 'ok') return 'DEFAULT';
  return attempt.outcome === 'client_gone' ? 'WARNING' : 'ERROR';
}

function after(start: Date, ms: number): Date {
  return new Date(start.getTime() + ms);
}
