import { isObject, type JsonObject, objects } from '../json-object.js';

export { isObject, type JsonObject, objects } from '../json-object.js';

/**
 * Gemini's wire, only the fields we read. Everything else is kept as it came (index signatures).
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
  /** A summary of the model's thoughts, not of the answer. */
  thought?: boolean;
  /** Opaque; has to go back on the same part. */
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
  /** Fields of the answer that we know nothing about. */
  others: JsonObject | undefined;
}

export interface GeminiCandidate {
  index: number;
  parts: GeminiPart[];
  finishReason: string | undefined;
  logprobsResult: JsonObject | undefined;
  groundingMetadata: JsonObject | undefined;
  /** All of the candidate but content, index, finish reason and token probabilities. */
  metadata: JsonObject | undefined;
}

export function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/** A copy without the named keys, or `undefined` when nothing is left. */
export function without(object: JsonObject, keys: ReadonlySet<string>): JsonObject | undefined {
  // Mostly nothing is left, and this is asked of each chunk and part.
  for (const key in object) {
    if (!keys.has(key)) return Object.fromEntries(Object.entries(object).filter(([name]) => !keys.has(name)));
  }
  return undefined;
}

/** `thinking_config` -> `thinkingConfig`: Google takes both, we look fields up by one. */
export function toCamelCase(key: string): string {
  return key.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** `groundingMetadata` -> `grounding_metadata`: how Google's fields are named inside an OpenAI answer. */
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

/** An answer, or one chunk of a stream, with what may be absent filled in: candidates, parts, index. */
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
    // Absent in a quarter of the recorded answers: proto3 leaves out a zero.
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
