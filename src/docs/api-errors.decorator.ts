import { GATEWAY_ERRORS, GatewayError, type GatewayErrorCode } from '@app/contracts';
import { applyDecorators } from '@nestjs/common';
import { ApiResponse } from '@nestjs/swagger';

/** Status -> what it means, and one of its errors as an example: code, message, `param`. */
const REFUSALS: Readonly<Record<number, readonly [string, GatewayErrorCode, string, string?]>> = {
  400: [
    'The request is invalid, or the provider rejected it.',
    'invalid_body',
    'temperature must not be greater than 2.',
    'temperature',
  ],
  401: [
    'The token is missing, invalid or expired.',
    'token_expired',
    'The token has expired. Get a new one.',
  ],
  402: [
    'The balance does not cover the worst-case cost.',
    'insufficient_balance',
    'The balance does not cover this request: required 0.0123, available 0.002, held 0. Top up, or ask for fewer output tokens.',
  ],
  403: ['The token does not allow this.', 'admin_only', 'This requires a token with the role "admin".'],
  404: [
    'There is no such model or resource.',
    'model_not_found',
    'The model "gpt-9" is not available here. GET /v1/models lists the available models.',
    'model',
  ],
  409: [
    'A request with the same Idempotency-Key is in flight elsewhere.',
    'idempotency_conflict',
    'A request with this Idempotency-Key is still in flight.',
    'Idempotency-Key',
  ],
  413: ['The body is too large.', 'body_too_large', 'The body is larger than 10485760 bytes.'],
  415: [
    'The body is not UTF-8 JSON.',
    'unsupported_media_type',
    'The body must be JSON, sent with Content-Type: application/json.',
  ],
  422: [
    'The same Idempotency-Key was used with a different body.',
    'idempotency_mismatch',
    'This Idempotency-Key was already used for a different request.',
    'Idempotency-Key',
  ],
  429: [
    'A rate limit has been reached: see Retry-After.',
    'rate_limited',
    'Rate limit reached: 60 requests per minute. Try again in 3 s.',
  ],
  500: [
    'The gateway failed unexpectedly.',
    'internal_error',
    'The gateway failed unexpectedly. The error is logged under this request id.',
  ],
  502: [
    'The provider returned an invalid answer, or refused the gateway’s key.',
    'provider_bad_response',
    'The stream ended before the answer was complete.',
  ],
  503: [
    'Overloaded, shutting down, or a data store is unavailable: see Retry-After.',
    'database_unavailable',
    'The database is not available at the moment.',
  ],
  504: [
    'The provider did not answer in time.',
    'request_timeout',
    'openai did not finish its answer in the time allowed.',
  ],
};

/** Documents the error answers of a route, all in the one envelope. */
export function ApiErrors(...statuses: number[]): MethodDecorator & ClassDecorator {
  return applyDecorators(...statuses.map(errorAnswer));
}

function errorAnswer(status: number): MethodDecorator & ClassDecorator {
  const refusal = REFUSALS[status];
  if (!refusal) throw new Error(`no error has the status ${status}`);
  const [meaning, code, message, param = null] = refusal;
  const codes = Object.entries(GATEWAY_ERRORS)
    .filter(([, kind]) => kind.status === status)
    .map(([name]) => `\`${name}\``);
  return ApiResponse({
    status,
    description: `${meaning} Codes: ${codes.join(', ')}.`,
    content: {
      'application/json': {
        schema: { $ref: '#/components/schemas/Error' },
        example: new GatewayError(code, message, { param }).toEnvelope(),
      },
    },
  });
}
