import { ProviderError } from '@app/contracts';
import { describe, expect, it } from 'vitest';
import { ConnectionError } from '../http/connection-failure.js';
import {
  GoogleHttpError,
  requestIdOf,
  toBodyProviderError,
  toHttpProviderError,
  toProviderError,
} from './google.errors.js';

function fault(code: number, status: string, message: string, details: object[] = []) {
  return { error: { code, message, status, details } };
}

function judge(status: number, body: unknown, retryAfter: string | null = null) {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return toHttpProviderError(new GoogleHttpError(status, text, retryAfter, undefined));
}

const signal = new AbortController().signal;
/** No fault of the client's. */
const ours = { countsAsFailure: true, tryElsewhere: true };

describe('toHttpProviderError', () => {
  it.each([
    [400, fault(400, 'INVALID_ARGUMENT', 'Bad image.'), 'provider_rejected', 'no', false, false],
    [
      400,
      fault(
        400,
        'INVALID_ARGUMENT',
        'The input token count (9) exceeds the maximum number of tokens allowed (8).',
      ),
      'context_length_exceeded',
      'no',
      false,
      true,
    ],
    [
      400,
      fault(
        400,
        'INVALID_ARGUMENT',
        'Unable to submit request because the input token count is 9 but model only supports up to 8. Reduce it.',
      ),
      'context_length_exceeded',
      'no',
      false,
      true,
    ],
    [
      400,
      fault(400, 'INVALID_ARGUMENT', 'Request payload size exceeds the limit: 20971520 bytes.'),
      'body_too_large',
      'no',
      false,
      true,
    ],
    [
      400,
      fault(400, 'INVALID_ARGUMENT', 'x', [{ reason: 'API_KEY_INVALID' }]),
      'provider_auth_failed',
      'no',
      true,
      true,
    ],
    [
      400,
      fault(400, 'INVALID_ARGUMENT', 'API key expired. Please renew the API key.'),
      'provider_auth_failed',
      'no',
      true,
      true,
    ],
    [
      400,
      fault(400, 'FAILED_PRECONDITION', 'User location is not supported for the API use.'),
      'provider_auth_failed',
      'no',
      true,
      true,
    ],
    [
      400,
      fault(400, 'FAILED_PRECONDITION', 'The File abc is not in an ACTIVE state.'),
      'provider_rejected',
      'no',
      false,
      false,
    ],
    [
      400,
      fault(400, 'INVALID_ARGUMENT', 'Invalid function name: get billing'),
      'provider_rejected',
      'no',
      false,
      false,
    ],
    [401, fault(401, 'UNAUTHENTICATED', 'Secret words'), 'provider_auth_failed', 'no', true, true],
    [
      403,
      fault(403, 'PERMISSION_DENIED', 'Project 17 has no access'),
      'provider_auth_failed',
      'no',
      true,
      true,
    ],
    [
      403,
      fault(403, 'PERMISSION_DENIED', 'CachedContent not found (or permission denied)'),
      'provider_rejected',
      'no',
      false,
      false,
    ],
    [
      403,
      fault(
        403,
        'PERMISSION_DENIED',
        'You do not have permission to access the File abc or it may not exist.',
      ),
      'provider_rejected',
      'no',
      false,
      false,
    ],
    [
      404,
      fault(404, 'NOT_FOUND', 'models/x is not found for API version v1beta'),
      'model_not_found',
      'no',
      false,
      true,
    ],
    [
      404,
      fault(404, 'NOT_FOUND', 'Requested entity was not found.'),
      'provider_rejected',
      'no',
      false,
      false,
    ],
    [404, '<html>not here</html>', 'provider_bad_response', 'no', true, true],
    [422, 'Not like this', 'provider_rejected', 'no', false, false],
    [413, 'Request payload size exceeds the limit', 'body_too_large', 'no', false, true],
    [429, fault(429, 'RESOURCE_EXHAUSTED', 'Quota'), 'provider_rate_limited', 'no', false, true],
    [
      500,
      fault(500, 'INTERNAL', 'An internal error has occurred.'),
      'provider_bad_response',
      'unknown',
      true,
      true,
    ],
    [502, '<html></html>', 'provider_bad_response', 'unknown', true, true],
    [503, [fault(503, 'UNAVAILABLE', 'The model is overloaded.')], 'provider_overloaded', 'no', true, true],
    [503, 'upstream connect error', 'provider_overloaded', 'no', true, true],
    [504, fault(504, 'DEADLINE_EXCEEDED', 'Deadline expired.'), 'request_timeout', 'unknown', true, true],
    [302, '', 'provider_bad_response', 'unknown', true, true],
  ])('%i %j is %s', (status, body, code, processed, countsAsFailure, tryElsewhere) => {
    const error = judge(status, body);
    expect(error).toMatchObject({ code, processed, countsAsFailure, tryElsewhere, upstreamStatus: status });
  });

  it("gives the client Google's words, but not about the gateway's own key or project", () => {
    expect(judge(400, fault(400, 'INVALID_ARGUMENT', 'Bad image.')).message).toBe('Bad image.');
    expect(judge(503, 'upstream connect error').message).toBe('upstream connect error');
    expect(judge(403, fault(403, 'PERMISSION_DENIED', 'Project 17 has no access')).message).not.toContain(
      '17',
    );
    expect(judge(502, '<html>stack</html>').message).toBe('Google answered with status 502.');
  });

  it('names the fields that Google found fault with, where its words do not', () => {
    const violations = (...fieldViolations: object[]) => [
      { '@type': 'type.googleapis.com/google.rpc.BadRequest', fieldViolations },
    ];
    const saying = (message: string, ...fields: object[]) =>
      judge(400, fault(400, 'INVALID_ARGUMENT', message, violations(...fields))).message;
    const field = { field: 'generation_config.top_k', description: 'must be below 41' };
    expect(saying('Request contains an invalid argument.', field, { field: 'x' }, { description: 'y' })).toBe(
      'Request contains an invalid argument. (generation_config.top_k: must be below 41; y)',
    );
    expect(saying('top_k must be below 41', field)).toBe('top_k must be below 41');
  });

  it('looks at the beginning of what Google says only: it may be thousands of lines', () => {
    const lines = Array.from({ length: 4000 }, (_, at) => `Unknown name "a${at}": Cannot find field.`);
    const fieldViolations = lines.map((description) => ({ field: 'generation_config', description }));
    const unsaid = judge(400, fault(400, 'INVALID_ARGUMENT', 'Bad.', [{ fieldViolations }])).message;
    expect(unsaid).toContain('"a7"');
    expect(unsaid).not.toContain('"a8"');
    const codeOf = (message: string) => judge(400, fault(400, 'INVALID_ARGUMENT', message)).code;
    const tooLong = 'exceeds the maximum number of tokens';
    expect([tooLong, lines.join('\n') + tooLong].map(codeOf)).toEqual([
      'context_length_exceeded',
      'provider_rejected',
    ]);
    const far = `token count ${'x'.repeat(2000)} exceeds`;
    expect(codeOf(far)).toBe('provider_rejected');
    const file = `File ${'x'.repeat(2000)} not found`;
    expect(judge(403, fault(403, 'PERMISSION_DENIED', file)).code).toBe('provider_auth_failed');
  });

  it("keeps the gateway's own quota to itself", () => {
    const words = 'You exceeded your current quota, please check your plan and billing details.';
    expect(judge(429, fault(429, 'RESOURCE_EXHAUSTED', words)).message).not.toContain('billing');
    expect(judge(429, fault(429, 'RESOURCE_EXHAUSTED', 'Resource exhausted.')).message).toBe(
      'Resource exhausted.',
    );
  });

  it('reads the delay from RetryInfo, else from the header', () => {
    const body = fault(429, 'RESOURCE_EXHAUSTED', 'Quota', [{ violations: [] }, { retryDelay: '48.4s' }]);
    expect(judge(429, body, '7').retryAfterMs).toBe(48_400);
    expect(judge(503, 'busy', '7').retryAfterMs).toBe(7000);
    expect(judge(503, 'busy', 'Wed, 21 Oct 2026 07:28:00 GMT').retryAfterMs).toBeUndefined();
    expect(judge(429, fault(429, '', '', [{ retryDelay: 'soon' }])).retryAfterMs).toBeUndefined();
  });
});

describe('toBodyProviderError', () => {
  it('judges an error object in a stream like the status it names', () => {
    expect(toBodyProviderError(fault(429, 'RESOURCE_EXHAUSTED', 'Quota')).code).toBe('provider_rate_limited');
    const busy = fault(503, 'UNAVAILABLE', 'Busy');
    expect(toBodyProviderError(busy).processed).toBe('no');
    expect(toBodyProviderError(busy, true).processed).toBe('unknown');
    expect(toBodyProviderError({ error: {} })).toMatchObject({
      code: 'provider_bad_response',
      processed: 'unknown',
    });
  });
});

describe('toProviderError', () => {
  it("gives the signal's reason once the call was aborted, whatever was thrown", () => {
    const controller = new AbortController();
    const reason = new ProviderError('first_chunk_timeout', 'late', {
      processed: 'unknown',
      countsAsFailure: true,
      tryElsewhere: true,
    });
    controller.abort(reason);
    expect(toProviderError(new Error('aborted'), controller.signal)).toBe(reason);
    expect(toProviderError(new Error('x'), AbortSignal.abort('no error'))).toMatchObject({
      name: 'AbortError',
    });
  });

  it('tells a connection that never was from one that broke', () => {
    const never = toProviderError(new ConnectionError('refused', 'no', 'ECONNREFUSED'), signal);
    expect(never).toMatchObject({ code: 'provider_overloaded', processed: 'no', ...ours });
    const broke = toProviderError(new ConnectionError('reset', 'unknown', 'ECONNRESET'), signal);
    expect(broke).toMatchObject({ code: 'provider_bad_response', processed: 'unknown', ...ours });
  });

  it('keeps what is judged already, and calls the rest unreadable', () => {
    const judged = judge(429, 'x');
    expect(toProviderError(judged, signal)).toBe(judged);
    expect(toProviderError(new SyntaxError('Unexpected end of JSON input'), signal)).toMatchObject({
      code: 'provider_bad_response',
      processed: 'unknown',
      ...ours,
    });
  });
});

it('knows a request by the id that Google or a proxy gave it', () => {
  const idOf = (headers: Record<string, string>) => requestIdOf({ headers: new Headers(headers) });
  expect([
    idOf({ 'x-goog-request-id': 'g', 'x-request-id': 'p' }),
    idOf({ 'x-request-id': 'p' }),
    idOf({}),
  ]).toEqual(['g', 'p', undefined]);
});
