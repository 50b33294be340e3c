import {
  abortReason,
  type CallSignal,
  type GatewayErrorCode,
  ProviderError,
  type ProviderErrorOptions,
} from '@app/contracts';
import { answerProblem } from '../http/answer-problem.js';
import { connectionFailure } from '../http/connection-failure.js';
import type { PostAnswer } from '../http/prepared-post.js';
import { parseJson } from '../translation/parse-json.js';
import { toRetryAfterMs } from '../translation/retry-after.js';
import { isObject, type JsonObject, textOf } from './anthropic.wire.js';

/** What a kind of failure means for the gateway. */
interface Judgement {
  readonly code: GatewayErrorCode;
  readonly processed: ProviderErrorOptions['processed'];
  readonly countsAsFailure: boolean;
  readonly tryElsewhere: boolean;
  /** Replaces Anthropic's message where that is not for the client to read. */
  readonly message?: string;
}

const REJECTED: Judgement = {
  code: 'provider_rejected',
  processed: 'no',
  countsAsFailure: false,
  tryElsewhere: false,
};
const TOO_LONG: Judgement = { ...REJECTED, code: 'context_length_exceeded', tryElsewhere: true };
const TOO_LARGE: Judgement = { ...REJECTED, code: 'body_too_large', tryElsewhere: true };
const NO_SUCH_MODEL: Judgement = { ...REJECTED, code: 'model_not_found', tryElsewhere: true };
/** Anthropic's message names our organisation and its limits. */
const RATE_LIMITED: Judgement = {
  ...REJECTED,
  code: 'provider_rate_limited',
  tryElsewhere: true,
  message: "The gateway's rate limit at the provider has been reached.",
};
const OUR_ACCOUNT: Judgement = {
  code: 'provider_auth_failed',
  processed: 'no',
  countsAsFailure: true,
  tryElsewhere: true,
  message: "The provider does not accept the gateway's account.",
};
const OVERLOADED: Judgement = {
  code: 'provider_overloaded',
  processed: 'no',
  countsAsFailure: true,
  tryElsewhere: true,
};
const BROKEN: Judgement = {
  code: 'provider_bad_response',
  processed: 'unknown',
  countsAsFailure: true,
  tryElsewhere: true,
};
/** The server does not have this API. */
const WRONG_ADDRESS: Judgement = { ...BROKEN, processed: 'no' };
const TIMED_OUT: Judgement = { ...BROKEN, code: 'request_timeout' };

/** By `error.type`, in an error response or in a stream. */
const BY_TYPE: Readonly<Record<string, Judgement>> = Object.freeze({
  invalid_request_error: REJECTED,
  authentication_error: OUR_ACCOUNT,
  permission_error: OUR_ACCOUNT,
  billing_error: OUR_ACCOUNT,
  not_found_error: NO_SUCH_MODEL,
  request_too_large: TOO_LARGE,
  rate_limit_error: RATE_LIMITED,
  timeout_error: TIMED_OUT,
  api_error: BROKEN,
  overloaded_error: OVERLOADED,
});

/** Failures after which waiting helps: only then does `retry-after` count. */
const PASSING: ReadonlySet<Judgement> = new Set([RATE_LIMITED, OVERLOADED]);

/** By status, if the body has no type that we know: plain text from a proxy, an empty body. */
const BY_STATUS: Readonly<Record<number, Judgement>> = Object.freeze({
  401: OUR_ACCOUNT,
  402: OUR_ACCOUNT,
  403: OUR_ACCOUNT,
  404: WRONG_ADDRESS,
  405: WRONG_ADDRESS,
  408: TIMED_OUT,
  410: WRONG_ADDRESS,
  413: TOO_LARGE,
  429: RATE_LIMITED,
  503: OVERLOADED,
  504: TIMED_OUT,
  529: OVERLOADED,
});

const TOO_LONG_WORDS =
  /prompt is too long|exceeds? (?:the )?(?:model'?s? )?(?:maximum )?context|exceed context limit|context window/i;
/** Only at the start of the message: text quoted further on may be the client's, who must not be able to open a circuit breaker. */
const ACCOUNT_WORDS =
  /^(your credit balance is too low|(this|your) organization has been disabled|you have reached your .*usage limits?\b)/i;

interface Evidence {
  readonly status?: number | undefined;
  readonly body: unknown;
  readonly requestId?: string | undefined;
  readonly retryAfter?: string | null | undefined;
  readonly cause?: unknown;
}

/**
 * Whatever the SDK threw -> ProviderError. An aborted call gives the reason of its signal instead.
 *
 * @see https://platform.claude.com/docs/en/api/errors, read 2026-11-23
 */
export function toProviderError(error: unknown, signal: CallSignal): Error {
  if (signal.aborted) return abortReason(signal);
  if (error instanceof ProviderError) return error;
  return statusError(error) ?? connectionError(error);
}

/** A response whose status is not a success. */
export function toRefusal({ status, headers, text }: PostAnswer): ProviderError {
  return fromEvidence({
    status,
    body: parseJson(text),
    requestId: headers.get('request-id') ?? undefined,
    retryAfter: readRetryAfter((name) => headers.get(name)),
  });
}

/** An `error` event, or an error body with status 200. `begun`: output had already been received. */
export function toStreamError(body: unknown, begun: boolean, requestId: string | undefined): ProviderError {
  const error = fromEvidence({ body, requestId });
  if (!begun || error.processed === 'unknown') return error;
  return fromEvidence({ body, requestId }, 'unknown');
}

/** The answer is not what the API promises. */
export function badResponse(problem: string, requestId: string | undefined, cause?: unknown): ProviderError {
  return new ProviderError('provider_bad_response', `Anthropic's answer ${problem}.`, {
    ...behaviour(BROKEN),
    ...(requestId !== undefined && { providerRequestId: requestId }),
    cause,
  });
}

/** Reads the SDK's errors by their fields, so that this file does not depend on the SDK. */
function statusError(error: unknown): ProviderError | undefined {
  if (!isObject(error) || typeof error.status !== 'number') return undefined;
  const headers = isObject(error.headers) ? error.headers : {};
  return fromEvidence({
    status: error.status,
    body: error.error,
    requestId: header(headers, 'request-id'),
    retryAfter: readRetryAfter((name) => header(headers, name)),
    cause: error,
  });
}

function header(headers: JsonObject, name: string): string | undefined {
  const value: unknown = typeof headers.get === 'function' ? headers.get(name) : undefined;
  return typeof value === 'string' ? value : undefined;
}

const WINDOWS = ['requests', 'tokens', 'input-tokens', 'output-tokens'].map(
  (kind) => `anthropic-ratelimit-${kind}`,
);

/** `retry-after`, otherwise the latest reset of the exhausted rate limits. */
function readRetryAfter(read: (name: string) => string | null | undefined): string | null | undefined {
  const said = read('retry-after');
  if (said) return said;
  const usedUp = WINDOWS.filter((window) => read(`${window}-remaining`) === '0');
  return usedUp
    .map((window) => read(`${window}-reset`) ?? '')
    .toSorted()
    .at(-1);
}

function fromEvidence(evidence: Evidence, processed?: Judgement['processed']): ProviderError {
  const error = errorOf(evidence.body);
  const judgement = judge(evidence.status, textOf(error.type), textOf(error.message));
  const requestId = evidence.requestId ?? requestIdOf(evidence.body);
  const retryAfterMs = PASSING.has(judgement) ? toRetryAfterMs(evidence.retryAfter) : undefined;
  return new ProviderError(judgement.code, messageOf(judgement, error, evidence.status), {
    ...behaviour(judgement),
    ...(processed && { processed }),
    ...(evidence.status !== undefined && { upstreamStatus: evidence.status }),
    ...(requestId !== undefined && { providerRequestId: requestId }),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
    cause: evidence.cause,
  });
}

function behaviour({ processed, countsAsFailure, tryElsewhere }: Judgement): ProviderErrorOptions {
  return { processed, countsAsFailure, tryElsewhere };
}

/** Proxies and other servers have other envelopes: `{"error": "…"}`, `{"message": "…"}`, `{"detail": "…"}`. */
function errorOf(body: unknown): JsonObject {
  if (!isObject(body)) return {};
  if (isObject(body.error)) return body.error;
  const message = [body.error, body.message, body.detail].find((words) => textOf(words) !== '');
  return { message };
}

function requestIdOf(body: unknown): string | undefined {
  return isObject(body) && typeof body.request_id === 'string' ? body.request_id : undefined;
}

function judge(status: number | undefined, type: string, message: string): Judgement {
  const byType = Object.hasOwn(BY_TYPE, type) ? BY_TYPE[type] : undefined;
  const judgement = byType ?? (status === undefined ? BROKEN : judgeStatus(status));
  if (judgement === REJECTED && TOO_LONG_WORDS.test(message)) return TOO_LONG;
  if (judgement === REJECTED && ACCOUNT_WORDS.test(message)) return OUR_ACCOUNT;
  // Files and containers can be missing, too; only for a missing model is another target worth a try.
  if (judgement === NO_SUCH_MODEL && !/^model\b/i.test(message)) return REJECTED;
  return judgement;
}

function judgeStatus(status: number): Judgement {
  return BY_STATUS[status] ?? (status >= 400 && status < 500 ? REJECTED : BROKEN);
}

function messageOf(judgement: Judgement, error: JsonObject, status: number | undefined): string {
  if (judgement.message) return judgement.message;
  const said = textOf(error.message);
  if (said) return said;
  return status === undefined ? 'Anthropic reported an error.' : `Anthropic answered with status ${status}.`;
}

function connectionError(error: unknown): ProviderError {
  const failure = connectionFailure(error);
  if (!failure) return badResponse(answerProblem(error) ?? 'could not be read', undefined, error);
  const [judgement, problem] =
    failure.processed === 'no'
      ? [OVERLOADED, 'Anthropic could not be reached']
      : [BROKEN, 'The connection to Anthropic failed'];
  const message = `${problem} (${failure.kind}).`;
  return new ProviderError(judgement.code, message, { ...behaviour(judgement), cause: error });
}
