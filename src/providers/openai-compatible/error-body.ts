import { parseJson } from '../translation/parse-json.js';
import { asArray, asObject, asText, type WireObject } from './openai-compatible.wire.js';

// Where servers put an error, and what they say in it.

/**
 * The error in a body with status 200, wherever the server put it: `error`, Groq's `x_groq.error`, or, where there is no
 * choice, a list, MiniMax's `base_resp`, or no envelope at all (vLLM, FastAPI). `undefined` when there is none.
 */
export function errorIn(body: WireObject): unknown {
  const named = body.error || asObject(body.x_groq)?.error;
  if (named) return named;
  if (asArray(body.choices).length > 0) return undefined;
  if (body.object === 'error' || body.message || body.detail) return body;
  return asArray(body.errors)[0] ?? errorOfMiniMax(asObject(body.base_resp) ?? {});
}

/** The status that a code of MiniMax's stands for; all others are failures of its own. */
const MINIMAX_STATUS: Readonly<Record<number, number>> = {
  1002: 429,
  1004: 401,
  1008: 402,
  1026: 400,
  1027: 400,
  1039: 429,
  1041: 429,
  2013: 400,
  2049: 401,
};

function errorOfMiniMax({ status_code: status, status_msg: message }: WireObject): unknown {
  return typeof status === 'number' && status !== 0 ? { message, code: MINIMAX_STATUS[status] } : undefined;
}

/**
 * The error object of a refusal. OpenAI writes `{error: {…}}`, Gemini's endpoint the same in an array, Ollama `{error: "…"}`,
 * vLLM and FastAPI no `error`, Cloudflare and watsonx a list in `errors`, others a list of texts there. Where Nest and Spring
 * have `error` beside a `message`, it is the status in words.
 */
export function errorObject(body: unknown): WireObject {
  const envelope = asObject(Array.isArray(body) ? body[0] : body) ?? {};
  if (typeof body === 'string') return { message: body };
  if (typeof envelope.error === 'string') return { ...envelope, message: envelope.message || envelope.error };
  const [first] = asArray(envelope.errors);
  if (!envelope.error && asText(first)) return { ...envelope, message: envelope.message || first };
  return asObject(envelope.error) ?? asObject(first) ?? envelope;
}

export function messageIn(error: WireObject): string | undefined {
  const complained = complaints(error);
  if (complained.length > 0) return JSON.stringify(complained.map(withoutInput));
  return wordsIn(error.message) ?? wordsIn(error.detail);
}

function wordsIn(value: unknown): string | undefined {
  if (value === undefined || value === null || value === '') return undefined;
  return asText(value) ?? asText(asObject(value)?.message) ?? JSON.stringify(value);
}

/** `input` may be the whole prompt. */
function withoutInput({ input: _input, url: _url, ctx: _ctx, ...complaint }: WireObject): WireObject {
  return complaint;
}

/** Codes of an error inside an answer that blame what the client sent; all others blame the server. */
const CLIENT_FAULT =
  /^(context_length_exceeded$|invalid_|image_|unsupported_|empty_image|failed_to_download|\w+_policy)/;

export function statusIn(error: WireObject): number | undefined {
  const status = [error.code, error.status]
    .map((code) => (typeof code === 'object' ? Number.NaN : Number(code)))
    .find((code) => Number.isInteger(code) && code >= 400 && code < 600);
  if (status !== undefined) return status;
  const type = `${asText(error.type) ?? ''} ${codeIn(error) ?? ''}`.toLowerCase();
  if (/rate_limit|too_many_requests|\brequests\b|\btokens\b/.test(type)) return 429;
  if (/overloaded|unavailable|slow_down/.test(type)) return 503;
  return /invalid_request|badrequest|bad_request|exceed_context_size/.test(type) ||
    CLIENT_FAULT.test(codeIn(error) ?? '')
    ? 400
    : undefined;
}

const MAX_WORDS_BEHIND = 1000;

/** OpenRouter says "Provider returned error"; what that provider said is in `metadata.raw`. */
export function wordsBehind(error: WireObject): string | undefined {
  const raw = asObject(error.metadata)?.raw;
  const said = messageIn(errorObject(typeof raw === 'string' ? (parseJson(raw) ?? raw.trim()) : raw));
  return said === undefined || said.startsWith('<') ? undefined : said.slice(0, MAX_WORDS_BEHIND);
}

/** Some servers name the fault in `code`, some in `type`. */
export function namesIn(error: WireObject): string[] {
  return [codeIn(error), asText(error.type)].filter((name) => name !== undefined);
}

/** FastAPI's list of what is wrong: in `detail`, or where Mistral puts it. */
export function complaints(error: WireObject): WireObject[] {
  const places = [error.detail, error.message, asObject(error.message)?.detail];
  return asArray(places.find(Array.isArray))
    .map(asObject)
    .filter((complaint) => complaint !== undefined);
}

/** A number is none: Azure and Gemini write the status there, Azure as text. */
export function codeIn(error: WireObject): string | undefined {
  const code = asText(error.code);
  return code === undefined || /^\d+$/.test(code) ? undefined : code;
}
