import {
  abortReason,
  type CallSignal,
  ProviderError,
  type GatewayErrorCode,
  type ProviderErrorOptions,
} from '@app/contracts';
import { answerProblem } from '../http/answer-problem.js';
import { connectionFailure } from '../http/connection-failure.js';
import type { PostAnswer } from '../http/prepared-post.js';
import { parseJson } from '../translation/parse-json.js';
import { toRetryAfterMs } from '../translation/retry-after.js';
import { isObject, type JsonObject, objects, text } from './google.wire.js';

/** A response whose status is not a success, as received. */
export class GoogleHttpError extends Error {
  override readonly name = 'GoogleHttpError';

  constructor(
    readonly status: number,
    readonly body: string,
    readonly retryAfter: string | null,
    readonly providerRequestId: string | undefined,
  ) {
    // Never the body: messages end up in logs, and Google's quote parts of the request.
    super(`Google answered with status ${status}`);
  }
}

/** A response whose status is not a success. */
export function refusalOf(answer: PostAnswer): GoogleHttpError {
  const { status, text, headers } = answer;
  return new GoogleHttpError(status, text, headers.get('retry-after'), requestIdOf(answer));
}

/** Google itself sends no request id; proxies in front of it may. */
export function requestIdOf(response: Pick<PostAnswer, 'headers'>): string | undefined {
  return response.headers.get('x-goog-request-id') ?? response.headers.get('x-request-id') ?? undefined;
}

/** `error` of `{"error": {code, message, status, details}}`. */
interface GoogleFault {
  readonly code: number | undefined;
  readonly message: string | undefined;
  /** Google's canonical code, e.g. `RESOURCE_EXHAUSTED`. */
  readonly status: string | undefined;
  readonly details: readonly JsonObject[];
}

type Verdict = Omit<ProviderErrorOptions, 'upstreamStatus' | 'providerRequestId' | 'retryAfterMs'> & {
  code: GatewayErrorCode;
  message: string;
};

/**
 * Status and body of a failed call -> ProviderError.
 *
 * A bad key is 400 with the reason `API_KEY_INVALID`, or 401 on Vertex: the operator's fault, never a 401 to the client.
 * 429 and 503 mean that no work was done; after 500 and 504 that is unknown.
 */
export function toHttpProviderError(failure: GoogleHttpError): ProviderError {
  const fault = readFault(parseJson(failure.body));
  const verdict = judge(failure.status, fault, failure.body);
  return new ProviderError(verdict.code, verdict.message, {
    ...verdict,
    retryAfterMs: retryAfterMs(fault, failure.retryAfter),
    upstreamStatus: failure.status,
    providerRequestId: failure.providerRequestId,
  });
}

/**
 * An error object where an answer was expected: in a stream, or as a body with status 200.
 *
 * @param begun  a part of the answer was received: the model has worked, whatever the status says
 */
export function toBodyProviderError(body: JsonObject, begun = false): ProviderError {
  const fault = readFault(body);
  const status = fault?.code ?? 500;
  const verdict = judge(status, fault, '');
  return new ProviderError(verdict.code, verdict.message, {
    ...verdict,
    processed: begun ? 'unknown' : verdict.processed,
    retryAfterMs: retryAfterMs(fault, null),
    upstreamStatus: status,
  });
}

/** Whatever the SDK or the connection threw -> ProviderError, or the reason of an aborted signal. */
export function toProviderError(error: unknown, signal: CallSignal): Error {
  if (signal.aborted) return abortReason(signal);
  if (error instanceof ProviderError) return error;
  if (error instanceof GoogleHttpError) return toHttpProviderError(error);
  const failure = connectionFailure(error);
  if (!failure) return toUnreadable(error);
  const refused = failure.processed === 'no';
  return new ProviderError(
    refused ? 'provider_overloaded' : 'provider_bad_response',
    refused
      ? `Google could not be reached (${failure.kind}).`
      : 'The connection to Google broke before the answer was complete.',
    { processed: failure.processed, countsAsFailure: true, tryElsewhere: true, cause: error },
  );
}

/** For an error while an answer was read. */
export function toUnreadable(error: unknown): ProviderError {
  return badResponse(`Google's answer ${answerProblem(error) ?? 'could not be read'}.`, error);
}

export function badResponse(message: string, cause?: unknown): ProviderError {
  return new ProviderError('provider_bad_response', message, {
    processed: 'unknown',
    countsAsFailure: true,
    tryElsewhere: true,
    cause,
  });
}

export function isErrorBody(body: unknown): body is JsonObject {
  return isObject(body) && isObject(body.error);
}

/** `{"error": …}`, or the same in a one-element array for array streams. */
function readFault(body: unknown): GoogleFault | undefined {
  const envelope: unknown = Array.isArray(body) ? body[0] : body;
  if (!isErrorBody(envelope) || !isObject(envelope.error)) return undefined;
  const { error } = envelope;
  return {
    code: typeof error.code === 'number' ? error.code : undefined,
    message: text(error.message),
    status: text(error.status),
    details: objects(error.details),
  };
}

function judge(status: number, fault: GoogleFault | undefined, body: string): Verdict {
  const own = OWN_VERDICTS[status];
  if (own) return own(fault, messageOf(fault, body, status));
  const message = messageOf(fault, body, status);
  if (status >= 400 && status < 500) return rejected(message);
  return failed('provider_bad_response', message, 'unknown');
}

const OWN_VERDICTS: Readonly<Record<number, (fault: GoogleFault | undefined, message: string) => Verdict>> = {
  400: (fault, message) => {
    if (isKeyFault(fault)) return unauthorized();
    if (isProjectFault(fault)) return notServed();
    if (isTooLong(message))
      return { ...rejected(message), code: 'context_length_exceeded', tryElsewhere: true };
    return isTooLarge(message) ? tooLarge(message) : rejected(message);
  },
  401: unauthorized,
  403: (_, message) => (isForeignObject(message) ? rejected(message) : unauthorized()),
  404: (fault, message) => {
    if (!fault) return failed('provider_bad_response', message, 'no');
    if (/\bmodel/i.test(message))
      return { ...rejected(message), code: 'model_not_found', tryElsewhere: true };
    return rejected(message);
  },
  408: (_, message) => failed('request_timeout', message, 'unknown'),
  413: (_, message) => tooLarge(message),
  429: (_, message) => ({
    ...failed('provider_rate_limited', aboutQuota(message), 'no'),
    countsAsFailure: false,
  }),
  499: (_, message) => failed('provider_bad_response', message, 'unknown'),
  503: (_, message) => failed('provider_overloaded', message, 'no'),
  504: (_, message) => failed('request_timeout', message, 'unknown'),
};

/** The client's fault: the request would fail again. */
function rejected(message: string): Verdict {
  return { code: 'provider_rejected', message, processed: 'no', countsAsFailure: false, tryElsewhere: false };
}

function tooLarge(message: string): Verdict {
  return { ...rejected(message), code: 'body_too_large', tryElsewhere: true };
}

function failed(code: GatewayErrorCode, message: string, processed: 'no' | 'unknown'): Verdict {
  return { code, message, processed, countsAsFailure: true, tryElsewhere: true };
}

/** Key or project: the operator's fault, without Google's message, which may name the project. */
function unauthorized(): Verdict {
  return failed('provider_auth_failed', "Google refused the gateway's credentials.", 'no');
}

function notServed(): Verdict {
  return failed('provider_auth_failed', "Google does not serve the gateway's project or region.", 'no');
}

/**
 * "User location is not supported for the API use.", "… requires billing to be enabled". With another status the words may be
 * the client's (a function named `billing`), who must not be able to open a circuit breaker.
 */
function isProjectFault(fault: GoogleFault | undefined): boolean {
  return (
    fault?.status === 'FAILED_PRECONDITION' &&
    /location is not supported|billing|free tier is not available/i.test(fault.message ?? '')
  );
}

/** 403 is also the answer to a file or cached content that does not exist: the client's fault. */
function isForeignObject(message: string): boolean {
  return /cached ?content|\bfile\b.{0,200}(not exist|not found)/is.test(message);
}

/** "You exceeded your current quota, please check your plan and billing details": the operator's, not the client's. */
function aboutQuota(message: string): string {
  return /quota|billing/i.test(message) ? "Google's quota for the gateway is used up for now." : message;
}

function isKeyFault(fault: GoogleFault | undefined): boolean {
  const reasons = fault?.details.map((detail) => text(detail.reason)) ?? [];
  return reasons.some((reason) => reason?.startsWith('API_KEY_')) || /^API key /i.test(fault?.message ?? '');
}

/** "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)." */
function isTooLong(message: string): boolean {
  return /token count.{0,200}exceeds|token count is \d+ but model only supports|exceeds the maximum number of (input )?tokens|input is too long/is.test(
    message,
  );
}

/** "Request payload size exceeds the limit: 20971520 bytes." Only at the start: later text may be the client's. */
function isTooLarge(message: string): boolean {
  return /^request payload size exceeds/i.test(message);
}

/** Google's message has a line, and a violation, for each unknown name: as many as the client likes. */
const MAX_SAID = 4000;
const MAX_VIOLATIONS = 8;
const MAX_DESCRIPTION = 400;

function messageOf(fault: GoogleFault | undefined, body: string, status: number): string {
  const words = fault?.message || plainText(body) || `Google answered with status ${status}.`;
  const said = words.slice(0, MAX_SAID);
  const unsaid = violations(fault).filter(({ description }) => !said.includes(description));
  if (unsaid.length === 0) return said;
  return `${said} (${unsaid.map(({ field, description }) => (field ? `${field}: ` : '') + description).join('; ')})`;
}

/** What Google criticises, field by field. Usually its message says the same. */
function violations(fault: GoogleFault | undefined) {
  return (fault?.details ?? [])
    .flatMap(({ fieldViolations }) => objects(fieldViolations))
    .slice(0, MAX_VIOLATIONS)
    .map(({ field, description }) => ({
      field: text(field)?.slice(0, MAX_DESCRIPTION),
      description: text(description)?.slice(0, MAX_DESCRIPTION) ?? '',
    }));
}

/** Proxies answer in plain text. An HTML page or broken JSON is of no use to a client. */
function plainText(body: string): string {
  const trimmed = body.trim();
  return /^[<{[]/.test(trimmed) ? '' : trimmed;
}

/** RetryInfo's `retryDelay` ("48s", "1.5s"), else `retry-after`. */
function retryAfterMs(fault: GoogleFault | undefined, header: string | null): number | undefined {
  const delays = fault?.details.map(({ retryDelay }) => toRetryAfterMs(text(retryDelay)?.replace(/s$/, '')));
  return delays?.find((delay) => delay !== undefined) ?? toRetryAfterMs(header);
}
