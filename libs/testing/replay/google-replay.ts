import { normalizeRequest } from '../../../src/providers/google/fixtures/normalize-request.js';
import { toChatRequest } from '../../../src/providers/google/fixtures/to-openai-dialect.js';
import type { Recording } from './recordings.js';
import {
  countOf,
  dataOf,
  fields,
  list,
  type RecordedAnswer,
  type RecordedUsage,
  textOf,
} from './recorded-answer.js';
import type { VendorReplay } from './vendor-replay.js';

type Json = Record<string, unknown>;

/** Gemini's generateContent and streamGenerateContent, also Vertex's. */
export const GOOGLE_REPLAY: VendorReplay = {
  upstreamModel: (recording) => /models\/([^/:]+):/.exec(recording.request.path)?.[1] ?? '',
  toClientRequest: (recording) => ({
    ...toChatRequest(recording.request.body),
    ...(recording.stream ? { stream: true } : {}),
  }),
  readAnswer: (recording) => readChunks(chunksOf(recording)),
  canonicalRequest: normalizeRequest,
};

/** One answer, the events of a stream, or the array that a stream without `alt=sse` is. */
function chunksOf({ response }: Recording): Json[] {
  if (response.sse !== undefined) return dataOf(response.sse);
  return Array.isArray(response.body) ? list(response.body) : [fields(response.body)];
}

function readChunks(chunks: Json[]): RecordedAnswer {
  const candidates = chunks.flatMap((chunk) => list(chunk['candidates']));
  const parts = candidates
    .filter((candidate) => (candidate['index'] ?? 0) === 0)
    .flatMap((candidate) => list(fields(candidate['content'])['parts']));
  const join = (thought: boolean): string =>
    parts.map((part) => ((part['thought'] === true) === thought ? textOf(part['text']) : '')).join('');
  const calls = parts.flatMap((part) => (part['functionCall'] ? [fields(part['functionCall'])] : []));
  return {
    text: join(false),
    reasoning: join(true),
    refusal: '',
    calls: calls.map((call) => ({
      id: textOf(call['id']) || undefined,
      name: textOf(call['name']),
      arguments: call['args'] ?? {},
    })),
    finishReason: finishReason(chunks, candidates, calls.length),
    usage: readUsage(chunks),
    choices: Math.max(1, new Set(candidates.map((candidate) => candidate['index'] ?? 0)).size),
  };
}

/** Gemini says STOP for a tool call too; a blocked prompt has no candidate at all; by any other reason it was broken off. */
function finishReason(chunks: Json[], candidates: Json[], calls: number): string {
  if (chunks.some((chunk) => fields(chunk['promptFeedback'])['blockReason'])) return 'content_filter';
  const first = candidates.filter((candidate) => (candidate['index'] ?? 0) === 0);
  const reason = first.map((candidate) => textOf(candidate['finishReason'])).findLast(Boolean);
  if (reason === 'MAX_TOKENS' || reason === 'CONTINUATION') return 'length';
  if (reason !== undefined && reason !== 'STOP') return 'content_filter';
  return calls > 0 ? 'tool_calls' : 'stop';
}

/** Every chunk has the total so far: the last that names a prompt count. */
function readUsage(chunks: Json[]): RecordedUsage | undefined {
  const usage = chunks
    .map((chunk) => fields(chunk['usageMetadata']))
    .findLast((block) => 'promptTokenCount' in block);
  if (!usage) return undefined;
  const count = (name: string): number => countOf(usage[name]) ?? 0;
  return {
    prompt: count('promptTokenCount') + count('toolUsePromptTokenCount'),
    completion: count('candidatesTokenCount') + count('thoughtsTokenCount'),
    cached: countOf(usage['cachedContentTokenCount']),
    reasoning: countOf(usage['thoughtsTokenCount']),
  };
}
