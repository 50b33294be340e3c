import { GATEWAY_ERRORS, GatewayError, type GatewayErrorCode } from '@app/contracts';
import { applyDecorators } from '@nestjs/common';
import { ApiResponse } from '@nestjs/swagger';

/** Status -> what it means, and one of its errors as an example: code, message, `param`. */
const REFUSALS: Readonly<Record<number, readonly [string, GatewayErrorCode, string, string?]>> = {
  400: [
    'The request is not valid, or the provider refused it.',
    'invalid_body',
    'temperature must not be greater than 2.',
    'temperature',
  ],
  401: [
    'The token is missing, invalid or expired.',
    'token_expired',
    'The token has expired: get a new one.',
  ],
  402: [
    'The balance does not cover the worst case.',
    'insufficient_balance',
    'The balance does not cover this request: required 0.0123, available 0.002, held 0. Top up, or ask for fewer output tokens.',
  ],
  403: ['The token does not allow this.', 'admin_only', 'This needs a token with the role "admin".'],
  404: [
    'There is no such model or resource.',
    'model_not_found',
    'The model "gpt-9" is not served here: GET /v1/models lists those that are.',
    'model',
  ],
  409: [
    'The same Idempotency-Key is in flight elsewhere.',
    'idempotency_conflict',
    'A request with this Idempotency-Key is still running.',
    'Idempotency-Key',
  ],
  413: ['The body is too large.', 'body_too_large', 'The body is larger than 10485760 bytes.'],
  415: [
    'The body is not UTF-8 JSON.',
    'unsupported_media_type',
    'The body must be JSON: send Content-Type: application/json.',
  ],
  422: [
    'The same Idempotency-Key came with another body.',
    'idempotency_mismatch',
    'This Idempotency-Key was used for another request.',
    'Idempotency-Key',
  ],
  429: [
    'A rate limit is reached: see Retry-After.',
    'rate_limited',
    'Rate limit reached: 60 requests per minute.',
  ],
  500: [
    'The gateway failed.',
    'internal_error',
    'The gateway failed. The error is logged under this request id.',
  ],
  502: [
    'The provider answered nonsense, or refused our key.',
    'provider_bad_response',
    'The stream ended before the answer was complete.',
  ],
  503: [
    'Overloaded, draining, or a store is away: see Retry-After.',
    'database_unavailable',
    'The database is not available.',
  ],
  504: ['The provider did not answer in time.', 'request_timeout', 'The request took too long.'],
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
