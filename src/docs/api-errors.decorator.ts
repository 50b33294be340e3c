import { applyDecorators } from '@nestjs/common';
import { ApiResponse } from '@nestjs/swagger';

const MEANING: Readonly<Record<number, string>> = {
  400: 'The request is not valid, or the provider refused it.',
  401: 'The token is missing, invalid or expired.',
  402: 'The balance does not cover the worst case.',
  403: 'The token does not allow this.',
  404: 'There is no such model or resource.',
  409: 'The same Idempotency-Key is in flight elsewhere.',
  413: 'The body is too large.',
  415: 'The body is not UTF-8 JSON.',
  422: 'The same Idempotency-Key came with another body.',
  429: 'A rate limit is reached: see Retry-After.',
  500: 'The gateway failed.',
  502: 'The provider answered nonsense, or refused our key.',
  503: 'Overloaded, draining, or a store is away: see Retry-After.',
  504: 'The provider did not answer in time.',
};

/** Documents the error answers of a route, all in the one envelope. */
export function ApiErrors(...statuses: number[]): MethodDecorator & ClassDecorator {
  return applyDecorators(
    ...statuses.map((status) =>
      ApiResponse({
        status,
        description: MEANING[status] ?? 'Error',
        content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
      }),
    ),
  );
}
