import {
  abortReason,
  type CallSignal,
  GatewayError,
  ProviderError,
  type GatewayErrorCode,
  type Processed,
} from '@app/contracts';
import { answerProblem } from '../http/answer-problem.js';
import { connectionFailure } from '../http/connection-failure.js';
import { errorBodyText } from '../http/light-response.js';
import { parseJson } from '../translation/parse-json.js';
import { codeIn, errorObject, messageIn, namesIn, statusIn, wordsBehind } from './error-body.js';
import { asObject, asText, type WireObject } from './openai-compatible.wire.js';
import {
  BAD_KEY,
  BLOCKED,
  isMissingObject,
  isOutOfQuota,
  isTooLong,
  NO_SUCH_MODEL,
  SHUT_OUT,
  UNKNOWN_MODEL,
  unknownField,
  UNSUPPORTED,
} from './refusal-words.js';
import { readRetryAfter, type HeaderSource } from './read-retry-after.js';

/** What a server said of a call that failed. */
interface Failure {
  /** `undefined` for an error inside a stream that has none. */
  readonly status: number | undefined;
  readonly headers: HeaderSource | undefined;
  /** The error object, whatever envelope it came in; empty when the body was no JSON. */
  readonly error: WireObject;
  readonly message: string | undefined;
  readonly cause: unknown;
}

interface Verdict {
  readonly code: GatewayErrorCode;
  readonly processed: Processed;
  readonly countsAsFailure: boolean;
  readonly tryElsewhere: boolean;
  /** Replaces the provider's words, which are about the gateway's account and quote its key. */
  readonly ownWords?: string;
  /** The field at fault, for servers that name it in their message only. */
  readonly param?: string;
}

const VERDICTS = {
  auth: {
    code: 'provider_auth_failed',
    processed: 'no',
    countsAsFailure: true,
    tryElsewhere: true,
    ownWords: "The provider does not accept the gateway's credentials.",
  },
  account: {
    code: 'provider_rate_limited',
    processed: 'no',
    countsAsFailure: true,
    tryElsewhere: true,
    ownWords: "The gateway's account at the provider is out of quota.",
  },
  rateLimited: { code: 'provider_rate_limited', processed: 'no', countsAsFailure: false, tryElsewhere: true },
  unknownModel: { code: 'model_not_found', processed: 'no', countsAsFailure: false, tryElsewhere: true },
  tooLong: { code: 'context_length_exceeded', processed: 'no', countsAsFailure: false, tryElsewhere: true },
  unsupported: {
    code: 'unsupported_parameter',
    processed: 'no',
    countsAsFailure: false,
    tryElsewhere: false,
  },
  rejected: { code: 'provider_rejected', processed: 'no', countsAsFailure: false, tryElsewhere: false },
  wrongAddress: { code: 'provider_bad_response', processed: 'no', countsAsFailure: true, tryElsewhere: true },
  overloaded: { code: 'provider_overloaded', processed: 'no', countsAsFailure: true, tryElsewhere: true },
  failed: { code: 'provider_bad_response', processed: 'unknown', countsAsFailure: true, tryElsewhere: true },
} as const satisfies Record<string, Verdict>;

/** Longer than any policy waits: a retry mends neither an empty account nor a request larger than a whole minute's tokens. */
const HOPELESS_RETRY_AFTER_MS = 60_000;
const TOO_LARGE = /request too large/i;

/**
 * Whatever the SDK threw -> the error of the port. An error of ours passes unchanged, and so does the reason of an aborted
 * signal: that is the caller's will, and not the provider's fault.
 */
export function toProviderError(thrown: unknown, signal: CallSignal): Error {
  if (signal.aborted) return abortReason(signal);
  if (thrown instanceof GatewayError) return thrown;
  const connection = connectionFailure(thrown);
  if (connection) return connectionError(connection.processed, connection.kind, thrown);
  const status = statusOf(thrown);
  const problem = answerProblem(thrown);
  if (problem !== undefined) return badResponse(`The provider's answer ${problem}.`, thrown);
  if (status === undefined) return badResponse('The call to the provider failed.', thrown);
  return judge(answeredFailure(status, thrown), false);
}

/** The error inside a stream, or in the body of a 200. `begun`: some of the answer had come before it. */
export function bodyError(error: unknown, begun: boolean): ProviderError {
  const wire = errorObject({ error });
  return judge(
    { status: statusIn(wire), headers: undefined, error: wire, message: messageIn(wire), cause: error },
    begun,
  );
}

/** What came is no answer. Processed: unknown, as the model may have worked on it. */
export function badResponse(message: string, cause?: unknown): ProviderError {
  return new ProviderError('provider_bad_response', message, { ...VERDICTS.failed, cause });
}

function connectionError(processed: Processed, kind: string, cause: unknown): ProviderError {
  if (processed !== 'no') return badResponse(`The connection to the provider failed (${kind}).`, cause);
  const message = `The provider could not be reached (${kind}).`;
  return new ProviderError('provider_overloaded', message, { ...VERDICTS.overloaded, cause });
}

function answeredFailure(status: number, thrown: unknown): Failure {
  const wire = asObject(thrown) ?? {};
  const text = errorBodyText(wire.headers) ?? '';
  const body = parseJson(text) ?? { error: wire.error ?? plainWords(status, text) };
  const error = errorObject(body);
  return { status, headers: headersOf(wire.headers), error, message: messageIn(error), cause: thrown };
}

/** Some servers refuse in plain text. But a 5xx in plain text comes from a proxy, and a page of HTML is no message. */
function plainWords(status: number, text: string): string | undefined {
  return status < 500 && !text.trimStart().startsWith('<') ? text.trim() : undefined;
}

function judge(failure: Failure, begun: boolean): ProviderError {
  const verdict: Verdict = verdictOf(failure);
  const requestId = requestIdIn(failure.headers);
  return new ProviderError(verdict.code, verdict.ownWords ?? shownMessage(failure), {
    processed: begun ? 'unknown' : verdict.processed,
    countsAsFailure: verdict.countsAsFailure,
    tryElsewhere: verdict.tryElsewhere,
    param: verdict.param ?? asText(failure.error.param) ?? null,
    ...wireCode(verdict, failure),
    ...retryAfter(verdict, failure),
    ...(failure.status === undefined ? {} : { upstreamStatus: failure.status }),
    ...(requestId ? { providerRequestId: requestId } : {}),
    cause: failure.cause,
  });
}

function verdictOf(failure: Failure): Verdict {
  const { status, error } = failure;
  const names = namesIn(error);
  const message = failure.message ?? '';
  if (isOutOfQuota(status, names, message)) return VERDICTS.account;
  if (names.some((name) => UNKNOWN_MODEL.has(name))) return VERDICTS.unknownModel;
  switch (status) {
    case 401:
      return VERDICTS.auth;
    case 403:
      return BLOCKED.test(message) || asObject(error.metadata)?.reasons ? VERDICTS.rejected : VERDICTS.auth;
    case 404:
      if (/model|deployment|endpoints found|not found for account/i.test(message))
        return VERDICTS.unknownModel;
      return isMissingObject(error, message) ? VERDICTS.rejected : VERDICTS.wrongAddress;
    case 405:
    case 410:
      return VERDICTS.wrongAddress;
    case 424: // TGI, Azure; OpenAI for a client's MCP server
      return /\bmcp\b|connector/i.test(`${message} ${names.join(' ')}`) ? VERDICTS.rejected : VERDICTS.failed;
    case 429:
      return VERDICTS.rateLimited;
    case 498: // Groq
    case 503:
    case 529:
      return VERDICTS.overloaded;
    default:
      return status !== undefined && status >= 400 && status < 500 && status !== 408
        ? rejection(failure, names, message)
        : VERDICTS.failed;
  }
}

function rejection(failure: Failure, names: readonly string[], message: string): Verdict {
  if (isTooLong(names, message) || isTooLong([], wordsBehind(failure.error) ?? '')) return VERDICTS.tooLong;
  if (names.includes('rate_limit_exceeded')) return VERDICTS.rateLimited; // Groq: 413 for more tokens than a minute has
  if (names.some((name) => SHUT_OUT.has(name)) || BAD_KEY.test(message)) return VERDICTS.auth; // Gemini's endpoint, Groq: 400
  if (NO_SUCH_MODEL.test(message)) return VERDICTS.unknownModel;
  const param = unknownField(failure.error, message);
  if (param !== undefined) return { ...VERDICTS.unsupported, param };
  return names.some((name) => UNSUPPORTED.has(name)) ? VERDICTS.unsupported : VERDICTS.rejected;
}

/** The provider's words, without what identifies the gateway's account; never a page of HTML. */
function shownMessage(failure: Failure): string {
  if (failure.message === undefined) {
    return failure.status === undefined
      ? 'The provider reported an error.'
      : `The provider answered with status ${failure.status}.`;
  }
  const behind = wordsBehind(failure.error);
  return withoutAccount(behind === undefined ? failure.message : `${failure.message}: ${behind}`);
}

/** Keys (OpenAI quotes a part of them), organisations and projects are the gateway's, and no business of the client's. */
function withoutAccount(message: string): string {
  return message
    .replace(/\b((sk|rk|gsk|xai|csk|pplx|nvapi|hf|fw)[-_]|AIza)[-_A-Za-z0-9*]{5,}/g, '[hidden]')
    .replace(/\b(team|key id|account)(:? )[0-9a-f]{8}-[0-9a-f-]{27}/gi, '$1$2[hidden]')
    .replace(/\b(account) '[^']{4,}'/gi, "$1 '[hidden]'")
    .replace(/\b(projects\/)[^/\s`'"]+/g, '$1[hidden]')
    .replace(/\b(arn:aws[\w-]*:[\w-]*:[\w-]*:)\d{12}\b/g, '$1[hidden]')
    .replace(/\b(org|proj)[-_][A-Za-z0-9]{4,}/g, '[hidden]');
}

/** A rejection keeps the provider's own code, which the client's program may know. */
function wireCode(verdict: Verdict, failure: Failure): { wireCode?: string } {
  const isRejection = verdict.code === 'provider_rejected' || verdict.code === 'unsupported_parameter';
  const code = isRejection ? codeIn(failure.error) : undefined;
  return code === undefined ? {} : { wireCode: code };
}

function retryAfter(verdict: Verdict, failure: Failure): { retryAfterMs?: number } {
  if (verdict === VERDICTS.account) return { retryAfterMs: HOPELESS_RETRY_AFTER_MS };
  if (verdict !== VERDICTS.rateLimited && verdict !== VERDICTS.overloaded) return {};
  if (TOO_LARGE.test(failure.message ?? '')) return { retryAfterMs: HOPELESS_RETRY_AFTER_MS };
  const retryAfterMs = readRetryAfter(failure.headers, failure.message);
  return retryAfterMs === undefined ? {} : { retryAfterMs };
}

function statusOf(thrown: unknown): number | undefined {
  const status = thrown instanceof Error && 'status' in thrown ? thrown.status : undefined;
  return typeof status === 'number' ? status : undefined;
}

function headersOf(headers: unknown): HeaderSource | undefined {
  return asObject(headers) && typeof (headers as HeaderSource).get === 'function'
    ? (headers as HeaderSource)
    : undefined;
}

/** The server's id of a request, Azure's included. */
export function requestIdIn(headers: HeaderSource | undefined): string | undefined {
  return headers?.get('x-request-id') || headers?.get('apim-request-id') || undefined;
}
