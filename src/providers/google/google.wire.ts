import { isObject, type JsonObject, objects } from '../translation/json-object.js';

export { isObject, type JsonObject, objects } from '../translation/json-object.js';

/**
 * The fields of Gemini's API that we read. All others are kept as received (index signatures).
 *
 * @see https://ai.google.dev/api/generate-content, read 2026-11-20
 */

export interface GeminiRequest {
  contents: GeminiContent[];
  systemInstruction?: GeminiContent;
  tools?: JsonObject[];
  toolConfig?: JsonObject;
  generationConfig?: JsonObject;
  [key: string]: unknown;
}

export interface GeminiContent {
  role?: 'user' | 'model';
  parts: GeminiPart[];
}

/** One of `text`, `functionCall`, `inlineData`, … with `thought` and `thoughtSignature` beside it. */
export interface GeminiPart {
  text?: string;
  /** The text summarises the model's thoughts and is not part of the answer. */
  thought?: boolean;
  /** Opaque; has to be sent back on the same part. */
  thoughtSignature?: string;
  functionCall?: GeminiFunctionCall;
  functionResponse?: JsonObject;
  inlineData?: { mimeType?: string; data?: string; [key: string]: unknown };
  fileData?: { mimeType?: string; fileUri?: string; [key: string]: unknown };
  [key: string]: unknown;
}

export interface GeminiFunctionCall {
  name?: string;
  args?: JsonObject;
  /** Newer models only. */
  id?: string;
  [key: string]: unknown;
}

export interface GeminiResponse {
  candidates: GeminiCandidate[];
  promptFeedback: JsonObject | undefined;
  usageMetadata: JsonObject | undefined;
  modelVersion: string | undefined;
  responseId: string | undefined;
  createTime: string | undefined;
  /** Fields of the answer that we do not know. */
  others: JsonObject | undefined;
}

export interface GeminiCandidate {
  index: number;
  parts: GeminiPart[];
  finishReason: string | undefined;
  logprobsResult: JsonObject | undefined;
  groundingMetadata: JsonObject | undefined;
  /** Everything but content, index, finish reason and token probabilities. */
  metadata: JsonObject | undefined;
}

export function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/** A copy without the given keys; `undefined` if nothing is left. */
export function without(object: JsonObject, keys: ReadonlySet<string>): JsonObject | undefined {
  // Usually nothing is left, and this runs for each chunk and part.
  for (const key in object) {
    if (!keys.has(key)) return Object.fromEntries(Object.entries(object).filter(([name]) => !keys.has(name)));
  }
  return undefined;
}

/** `thinking_config` -> `thinkingConfig`: Google accepts both, we use one to look fields up. */
export function toCamelCase(key: string): string {
  return key.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** `groundingMetadata` -> `grounding_metadata`: the names of Google's fields in an OpenAI answer. */
export function toSnakeCase(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

const RESPONSE_KEYS = new Set([
  'candidates',
  'promptFeedback',
  'usageMetadata',
  'modelVersion',
  'responseId',
  'createTime',
]);
const CANDIDATE_KEYS = new Set(['content', 'index', 'finishReason', 'logprobsResult']);

/** An answer, or one chunk of a stream. Missing candidates, parts and indexes are filled in. */
export function readResponse(body: JsonObject): GeminiResponse {
  return {
    candidates: objects(body.candidates).map(readCandidate),
    promptFeedback: isObject(body.promptFeedback) ? body.promptFeedback : undefined,
    usageMetadata: isObject(body.usageMetadata) ? body.usageMetadata : undefined,
    modelVersion: text(body.modelVersion),
    responseId: text(body.responseId),
    createTime: text(body.createTime),
    others: without(body, RESPONSE_KEYS),
  };
}

function readCandidate(candidate: JsonObject): GeminiCandidate {
  const content = isObject(candidate.content) ? candidate.content : {};
  return {
    // proto3 omits zeros, so the first candidate often has no index.
    index: Number.isSafeInteger(candidate.index) ? Number(candidate.index) : 0,
    parts: objects(content.parts),
    finishReason: finishReasonOf(candidate.finishReason),
    logprobsResult: isObject(candidate.logprobsResult) ? candidate.logprobsResult : undefined,
    groundingMetadata: isObject(candidate.groundingMetadata) ? candidate.groundingMetadata : undefined,
    metadata: without(candidate, CANDIDATE_KEYS),
  };
}

function finishReasonOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' && value !== 'FINISH_REASON_UNSPECIFIED'
    ? value
    : undefined;
}
