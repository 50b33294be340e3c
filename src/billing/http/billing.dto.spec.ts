import { describe, expect, it } from 'vitest';
import { GatewayValidationPipe } from '../../edge/gateway-validation.pipe.js';
import { BookingBody, ReconcileBody, RefundBody } from './billing.dto.js';

const pipe = new GatewayValidationPipe();

describe('a description', () => {
  it.each([BookingBody, RefundBody, ReconcileBody])(
    'is refused for its kind before its length: %o',
    async (metatype) => {
      const refusal = (description: unknown) =>
        pipe.transform({ amount: '1', description }, { type: 'body', metatype }).then(
          () => 'accepted',
          (error: Error) => error.message,
        );
      expect(await refusal(7)).toContain('description must be a string');
      expect(await refusal('x'.repeat(501))).toContain('shorter than or equal to 500');
      expect(await refusal('x')).toBe('accepted');
    },
  );
});
