import { createHash, randomUUID } from 'node:crypto';
import {
  type ChatChoice,
  type ChatChunkChoice,
  type ChatCompletion,
  hasTooManyParts,
  toCompletionUsage,
  type ToolCall,
  type ToolCallDelta,
  type Usage,
} from '@app/contracts';
import { type CandidateOptions, CandidateTranslator } from './google.candidate.js';
import { badResponse, isErrorBody, toBodyProviderError } from './google.errors.js';
import { toUsage } from './google.usage.js';
import {
  type GeminiCandidate,
  type GeminiResponse,
  isObject,
  type JsonObject,
  readResponse,
  text,
  toSnakeCase,
} from './google.wire.js';

/** What the translation of an answer has to know of its request. */
export interface AnswerContext {
  readonly clientModel: string;
  readonly legacyFunctions: boolean;
  readonly oneCall: boolean;
  readonly citesSources: boolean;
  /** Google charges for each query of a search, not once for the prompt. */
  readonly paysEverySearch: boolean;
  /** Unix seconds, for answers without a time. */
  readonly now: () => number;
}

interface TranslatedAnswer {
  readonly completion: ChatCompletion;
  readonly usage: Usage | undefined;
}

/**
 * Body of `generateContent` -> `chat.completion`.
 *
 * @throws ProviderError  the provider's own for an error object, `provider_bad_response` for what is not an answer
 */
export function translateResponse(body: unknown, context: AnswerContext): TranslatedAnswer {
  if (isErrorBody(body)) throw toBodyProviderError(body);
  if (!isObject(body)) throw badResponse('Google answered with something other than a JSON object.');
  const response = readAnswer(body);
  const usage = toUsage(response.usageMetadata, paidSearches(response.candidates, context));
  const completion: ChatCompletion = {
    ...envelope(response, context),
    object: 'chat.completion',
    choices: translateChoices(response, context),
    ...(usage ? { usage: toCompletionUsage(usage) } : {}),
    ...serviceTier(response),
    ...answerFields({ ...response.others, ...feedback(response), ...rawUsage(response) }),
  };
  return { completion, usage };
}

/**
 * An answer, or one chunk of a stream.
 *
 * @throws ProviderError `provider_bad_response` for one with more candidates and parts than any model gives
 */
export function readAnswer(body: JsonObject): GeminiResponse {
  const candidates: unknown[] = Array.isArray(body.candidates) ? body.candidates : [];
  if (hasTooManyParts(candidates, partsIn)) {
    throw badResponse('Google answered with more parts than any model produces.');
  }
  return readResponse(body);
}

function partsIn(candidate: unknown): number {
  const content = isObject(candidate) && isObject(candidate.content) ? candidate.content : {};
  return Array.isArray(content.parts) ? content.parts.length : 0;
}

function translateChoices(response: GeminiResponse, context: AnswerContext): ChatChoice[] {
  if (response.candidates.length === 0) return [toChoice(blockedChoice(response))];
  const options = candidateOptions(response, context);
  return mergeByIndex(response.candidates).map((candidate) => {
    const choice = new CandidateTranslator(candidate.index, options).take(whole(candidate));
    if (!choice) throw badResponse('Google answered without content.');
    return toChoice(choice);
  });
}

/** A whole answer is complete by being JSON; without a finish reason it is taken for `STOP`. */
function whole(candidate: GeminiCandidate): GeminiCandidate {
  return { ...candidate, finishReason: candidate.finishReason ?? 'STOP' };
}

/** Candidates without an index are numbered by their position. */
function mergeByIndex(candidates: readonly GeminiCandidate[]): GeminiCandidate[] {
  const distinct = new Set(candidates.map((candidate) => candidate.index)).size === candidates.length;
  return candidates.map((candidate, place) => (distinct ? candidate : { ...candidate, index: place }));
}

function toChoice(choice: ChatChunkChoice): ChatChoice {
  const { delta, finish_reason, ...others } = choice;
  const { content = null, refusal = null, tool_calls: calls, ...fields } = delta;
  return {
    ...others,
    message: {
      ...fields,
      role: 'assistant',
      content,
      refusal,
      ...(calls ? { tool_calls: calls.map(toToolCall) } : {}),
    },
    logprobs: choice.logprobs ?? null,
    finish_reason: finish_reason ?? 'stop',
  };
}

function toToolCall(call: ToolCallDelta): ToolCall {
  const { index: _index, id = '', function: called, ...fields } = call;
  const { name = '', arguments: json = '{}' } = called ?? {};
  return { ...fields, id, type: 'function', function: { name, arguments: json } };
}

/**
 * An answer without candidates: the prompt was blocked. It is a refusal, not an error: OpenAI's clients know refusals, and the
 * prompt is billed.
 *
 * @throws ProviderError `provider_bad_response` if the answer does not say that it was blocked
 */
export function blockedChoice(response: GeminiResponse): ChatChunkChoice {
  const reason = text(response.promptFeedback?.blockReason);
  if (!reason) throw badResponse('Google answered without a candidate.');
  const refusal =
    text(response.promptFeedback?.blockReasonMessage) || `Google blocked the prompt: ${reason}.`;
  return {
    index: 0,
    delta: { role: 'assistant', refusal },
    finish_reason: 'content_filter',
    provider_specific_fields: { block_reason: reason },
  };
}

/** `id`, `created`, `model`, and Google's name of the model that answered. */
export function envelope(response: GeminiResponse, context: AnswerContext) {
  return {
    id: `chatcmpl-${response.responseId ?? randomUUID()}`,
    created: createdSeconds(response.createTime) ?? context.now(),
    model: context.clientModel,
    ...(response.modelVersion ? { system_fingerprint: response.modelVersion } : {}),
  };
}

export function candidateOptions(response: GeminiResponse, context: AnswerContext): CandidateOptions {
  return {
    callIdBase: CALL_ID_PREFIX + shortId(response.responseId),
    legacyFunctions: context.legacyFunctions,
    oneCall: context.oneCall,
    citesSources: context.citesSources,
  };
}

/** Prefix of the ids that the gateway made for calls without one: they never go back to Gemini (see google.contents.ts). */
export const CALL_ID_PREFIX = 'call_gw_';

/** At most 24 characters: a conversation may move to OpenAI, which refuses tool call ids of more than 40. */
function shortId(responseId: string | undefined): string {
  if (responseId !== undefined && /^[\w-]{1,24}$/.test(responseId)) return responseId;
  const seed = responseId ?? randomUUID();
  return createHash('sha256').update(seed).digest('base64url').slice(0, 24);
}

/** The number of searches that are charged separately: each query, or one per prompt. */
export function paidSearches(
  candidates: readonly GeminiCandidate[],
  { paysEverySearch }: Pick<AnswerContext, 'paysEverySearch'>,
): number {
  let searches = 0;
  for (const { groundingMetadata } of candidates) {
    const queries = groundingMetadata?.webSearchQueries;
    if (Array.isArray(queries)) searches += queries.filter((query) => text(query)?.trim()).length;
  }
  return paysEverySearch ? searches : Math.min(searches, 1);
}

/** Google's `standard` is OpenAI's `default`. */
export function serviceTier(response: GeminiResponse): { service_tier?: string } {
  const tier = text(response.usageMetadata?.serviceTier);
  return tier ? { service_tier: tier === 'standard' ? 'default' : tier } : {};
}

export function feedback(response: GeminiResponse): JsonObject {
  return response.promptFeedback ? { promptFeedback: response.promptFeedback } : {};
}

export function rawUsage(response: Pick<GeminiResponse, 'usageMetadata'>): JsonObject {
  return response.usageMetadata ? { usageMetadata: response.usageMetadata } : {};
}

/** Fields of the answer without a counterpart at OpenAI. */
export function answerFields(fields: JsonObject): { provider_specific_fields?: JsonObject } {
  const entries = Object.entries(fields);
  if (entries.length === 0) return {};
  return {
    provider_specific_fields: Object.fromEntries(entries.map(([key, value]) => [toSnakeCase(key), value])),
  };
}

function createdSeconds(createTime: string | undefined): number | undefined {
  const milliseconds = createTime === undefined ? Number.NaN : Date.parse(createTime);
  return Number.isNaN(milliseconds) ? undefined : Math.floor(milliseconds / 1000);
}
