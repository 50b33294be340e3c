import { ProviderError } from '@app/contracts';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ConnectionError } from '../http/connection-failure.js';
import { toProviderError, toRefusal, toStreamError } from './anthropic.errors.js';

// The same answer is read twice: a millisecond later, a date is another time to wait.
beforeEach(() => void vi.useFakeTimers({ toFake: ['Date'] }));
afterEach(() => void vi.useRealTimers());

const idle = new AbortController().signal;

interface Answer {
  readonly status: number;
  readonly type?: string;
  readonly message?: string;
  readonly headers?: Record<string, string>;
}

/** As the SDK throws it. */
function thrown({ status, type, message, headers = {} }: Answer): Error {
  const body = type ? { type: 'error', error: { type, message }, request_id: 'req_body' } : undefined;
  return Object.assign(new Error(`${status} …`), { status, error: body, headers: new Headers(headers) });
}

/** The first request of a path goes through the SDK, which throws; the answers to the others are read here. */
function judged(answer: Answer): ProviderError {
  const error = toProviderError(thrown(answer), idle);
  if (!(error instanceof ProviderError)) throw new Error('not a ProviderError');
  const { error: body, headers } = thrown(answer) as unknown as { error: unknown; headers: Headers };
  const refusal = toRefusal({ status: answer.status, ok: false, headers, text: JSON.stringify(body) ?? '' });
  expect({ ...refusal }).toEqual({ ...error, cause: undefined });
  return error;
}

describe('toProviderError', () => {
  it.each([
    [400, 'invalid_request_error', 'bad image', 'provider_rejected', 'no', false, false],
    [
      400,
      'invalid_request_error',
      'prompt is too long: 207791 tokens > 200000 maximum',
      'context_length_exceeded',
      'no',
      false,
      true,
    ],
    [
      400,
      'invalid_request_error',
      'input length and `max_tokens` exceed context limit: 1 + 2 > 3',
      'context_length_exceeded',
      'no',
      false,
      true,
    ],
    [
      400,
      'invalid_request_error',
      'Your credit balance is too low to access the Anthropic API.',
      'provider_auth_failed',
      'no',
      true,
      true,
    ],
    [
      400,
      'invalid_request_error',
      'You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.',
      'provider_auth_failed',
      'no',
      true,
      true,
    ],
    [
      400,
      'invalid_request_error',
      "tools.0.custom.name: 'Your credit balance is too low' should match pattern '^[a-zA-Z0-9_-]{1,128}$'",
      'provider_rejected',
      'no',
      false,
      false,
    ],
    [401, 'authentication_error', 'invalid x-api-key', 'provider_auth_failed', 'no', true, true],
    [402, 'billing_error', 'pay', 'provider_auth_failed', 'no', true, true],
    [403, 'permission_error', 'no', 'provider_auth_failed', 'no', true, true],
    [404, 'not_found_error', 'model: claude-9', 'model_not_found', 'no', false, true],
    [404, 'not_found_error', 'File not found: file_1', 'provider_rejected', 'no', false, false],
    [404, undefined, undefined, 'provider_bad_response', 'no', true, true],
    [413, 'request_too_large', 'too large', 'body_too_large', 'no', false, true],
    [413, undefined, undefined, 'body_too_large', 'no', false, true],
    [422, undefined, undefined, 'provider_rejected', 'no', false, false],
    [429, 'rate_limit_error', 'organization 1234', 'provider_rate_limited', 'no', false, true],
    [500, 'api_error', 'Internal server error', 'provider_bad_response', 'unknown', true, true],
    [502, undefined, undefined, 'provider_bad_response', 'unknown', true, true],
    [503, undefined, undefined, 'provider_overloaded', 'no', true, true],
    [504, 'timeout_error', 'slow', 'request_timeout', 'unknown', true, true],
    [529, 'overloaded_error', 'Overloaded', 'provider_overloaded', 'no', true, true],
    [529, undefined, undefined, 'provider_overloaded', 'no', true, true],
  ] as const)(
    'judges %i %s "%s"',
    (status, type, message, code, processed, countsAsFailure, tryElsewhere) => {
      const error = judged({ status, ...(type && { type, message }) });
      expect(error).toMatchObject({ code, processed, countsAsFailure, tryElsewhere, upstreamStatus: status });
    },
  );

  it('tells the client what Anthropic says of its request, and nothing of our account', () => {
    expect(judged({ status: 400, type: 'invalid_request_error', message: 'bad image' }).message).toBe(
      'bad image',
    );
    expect(
      judged({ status: 401, type: 'authentication_error', message: 'key sk-ant-1' }).message,
    ).not.toMatch(/sk-ant/);
    expect(
      judged({ status: 429, type: 'rate_limit_error', message: 'organization 1234' }).message,
    ).not.toMatch(/1234/);
  });

  it.each([
    [{ error: 'bad field' }, 'bad field'],
    [{ message: 'bad field' }, 'bad field'],
    [{ detail: 'bad field' }, 'bad field'],
    [{ detail: [{ loc: ['body'] }] }, 'Anthropic answered with status 400.'],
    ['bad field', 'Anthropic answered with status 400.'],
  ])('reads words outside of an envelope of Anthropic’s: %j', (body, message) => {
    const error = Object.assign(new Error('400 …'), { status: 400, error: body, headers: new Headers() });
    expect(toProviderError(error, idle)).toMatchObject({ code: 'provider_rejected', message });
  });

  it.each([
    [429, '8', 8000],
    [529, '0.5', 500],
    [503, '8', 8000],
    [500, '8', undefined],
    [429, 'soon', undefined],
    [429, '1e300', 86_400_000],
    [429, 'Fri, 01 Jan 9999 00:00:00 GMT', 86_400_000],
    [429, '-1', undefined],
    [429, 'Infinity', undefined],
  ])('reads from %i with retry-after %s: %s', (status, retryAfter, expected) => {
    expect(judged({ status, headers: { 'retry-after': retryAfter } }).retryAfterMs).toBe(expected);
  });

  it('reads a date, too', () => {
    const date = new Date(Date.now() + 60_000).toUTCString();
    const { retryAfterMs } = judged({ status: 429, headers: { 'retry-after': date } });
    expect(retryAfterMs).toBeGreaterThan(50_000);
    expect(retryAfterMs).toBeLessThanOrEqual(60_000);
  });

  it('comes back when the windows that are used up are full again, where nothing else is said', () => {
    const after = (seconds: number) => new Date(Date.now() + seconds * 1000).toISOString();
    const headers = {
      'anthropic-ratelimit-requests-remaining': '49',
      'anthropic-ratelimit-requests-reset': after(300),
      'anthropic-ratelimit-input-tokens-remaining': '0',
      'anthropic-ratelimit-input-tokens-reset': after(40),
      'anthropic-ratelimit-tokens-remaining': '0',
      'anthropic-ratelimit-tokens-reset': after(20),
    };
    const { retryAfterMs } = judged({ status: 429, headers });
    expect(retryAfterMs).toBeGreaterThan(35_000);
    expect(retryAfterMs).toBeLessThanOrEqual(40_000);
    expect(judged({ status: 429, headers: { ...headers, 'retry-after': '7' } }).retryAfterMs).toBe(7000);
    const free = {
      'anthropic-ratelimit-requests-remaining': '1',
      'anthropic-ratelimit-requests-reset': after(9),
    };
    expect(judged({ status: 429, headers: free }).retryAfterMs).toBeUndefined();
  });

  it('keeps the request id of the header, else of the body', () => {
    const headers = { 'request-id': 'req_header' };
    expect(judged({ status: 400, type: 'invalid_request_error', headers }).providerRequestId).toBe(
      'req_header',
    );
    expect(judged({ status: 400, type: 'invalid_request_error' }).providerRequestId).toBe('req_body');
  });

  it.each([
    ['refused', 'no', 'provider_overloaded'],
    ['reset', 'unknown', 'provider_bad_response'],
  ] as const)('judges a connection that was %s', (kind, processed, code) => {
    const error = new Error('Connection error.', { cause: new ConnectionError(kind, processed, 'E') });
    expect(toProviderError(error, idle)).toMatchObject({
      code,
      processed,
      countsAsFailure: true,
      tryElsewhere: true,
    });
  });

  it('gives the reason of an aborted call', () => {
    const controller = new AbortController();
    const reason = new Error('the client left');
    controller.abort(reason);
    expect(toProviderError(new Error('Request was aborted.'), controller.signal)).toBe(reason);
  });

  it('takes what it cannot read for a bad answer', () => {
    expect(toProviderError(new SyntaxError('Unexpected token'), idle)).toMatchObject({
      code: 'provider_bad_response',
      processed: 'unknown',
    });
  });
});

describe('toStreamError', () => {
  it.each([
    ['rate_limit_error', 'provider_rate_limited'],
    ['invalid_request_error', 'provider_rejected'],
    ['api_error', 'provider_bad_response'],
    ['authentication_error', 'provider_auth_failed'],
    ['of_tomorrow', 'provider_bad_response'],
  ])('judges %s', (type, code) => {
    expect(toStreamError({ type: 'error', error: { type, message: 'x' } }, false, 'req_1')).toMatchObject({
      code,
      upstreamStatus: undefined,
      providerRequestId: 'req_1',
    });
  });

  it('never calls work undone that had begun', () => {
    const event = { type: 'error', error: { type: 'overloaded_error', message: 'x' } };
    expect(toStreamError(event, true, undefined).processed).toBe('unknown');
  });
});
