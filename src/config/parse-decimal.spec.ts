import { describe, expect, it } from 'vitest';
import { parseDecimal } from './parse-decimal.js';

describe('parseDecimal', () => {
  it.each([
    ['0', 6, 0n],
    ['0.0375', 6, 37_500n],
    ['95.5', 9, 95_500_000_000n],
    ['0.000000001', 9, 1n],
    ['1.5000000000', 6, 1_500_000n],
    ['123456789012345678', 0, 123_456_789_012_345_678n],
  ] as const)('%s with %i digits is %s', (text, digits, value) =>
    expect(parseDecimal(text, digits)).toBe(value),
  );

  it.each(['', '-1', '+1', '1e3', '.5', '5.', '1,5', '0x1', 'NaN', ' 1', '0.0000001', '1_000'])(
    'refuses %j',
    (text) => expect(parseDecimal(text, 6)).toBeUndefined(),
  );
});
