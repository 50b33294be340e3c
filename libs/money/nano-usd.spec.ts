import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ceilPicoToNano,
  exactJsonNumber,
  formatNano,
  formatPicoPerMillion,
  InvalidAmountError,
  MAX_NANO,
  parseAmount,
  parseDecimalToNano,
} from './nano-usd.js';

describe('parseDecimalToNano', () => {
  it.each([
    ['95.5', 95_500_000_000n],
    ['-0.002', -2_000_000n],
    ['0.000000001', 1n],
    ['+7', 7_000_000_000n],
    ['10.10', 10_100_000_000n],
    ['1.0000000000000', 1_000_000_000n],
    ['9223372036.854775807', MAX_NANO],
  ])('reads %s exactly', (text, nano) => {
    expect(parseDecimalToNano(text)).toBe(nano);
  });

  it.each(['', '.', '1.', '.5', '1e3', '0x10', 'NaN', 'Infinity', '1,5', ' 1', '--1', '1_000', '٣'])(
    'refuses %j',
    (text) => {
      expect(() => parseDecimalToNano(text)).toThrow(InvalidAmountError);
    },
  );

  it('refuses what it would have to round or what no account can hold', () => {
    expect(() => parseDecimalToNano('0.0000000001')).toThrow('more than 9 decimals');
    expect(() => parseDecimalToNano('9223372036.854775808')).toThrow('too large');
  });
});

describe('parseAmount', () => {
  it.each([
    [10, 10_000_000_000n],
    [0.1, 100_000_000n],
    [1e-7, 100n],
    [1.55e-7, 155n],
    [-1e-9, -1n],
    [123456.123456789, 123_456_123_456_789n],
    [' 12.5 ', 12_500_000_000n],
    [-3.25, -3_250_000_000n],
    [1e9, 1_000_000_000_000_000_000n],
  ])('reads %j', (value, nano) => {
    expect(parseAmount(value)).toBe(nano);
  });

  it.each([
    Number.NaN,
    Infinity,
    1e-10,
    0.1 + 0.2,
    9007199.254740993,
    1e22,
    null,
    {},
    [],
    [10],
    true,
    '1e3',
    '',
  ])('refuses %j', (value) => {
    expect(() => parseAmount(value)).toThrow(InvalidAmountError);
  });
});

describe('formatting', () => {
  it('is the inverse of parsing, over the whole range', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -MAX_NANO, max: MAX_NANO }), (nano) => {
        const text = formatNano(nano);
        expect(parseDecimalToNano(text)).toBe(nano);
        expect(text).not.toMatch(/\.\d*0$|\.$|^-0$/);
      }),
    );
  });

  it('writes JSON numbers with digits that a double does not hold', () => {
    const json = JSON.stringify({ balance: exactJsonNumber(MAX_NANO), held: exactJsonNumber(0n) });
    expect(json).toBe('{"balance":9223372036.854775807,"held":0}');
    expect(JSON.parse(json)).toEqual({ balance: 9223372036.854776, held: 0 });
  });

  it('shows a price per million tokens', () => {
    expect(formatPicoPerMillion(37_500n)).toBe('0.0375');
  });
});

describe('ceilPicoToNano', () => {
  it('rounds up and by less than one nano', () => {
    expect([0n, 1n, 999n, 1000n, 1001n].map(ceilPicoToNano)).toEqual([0n, 1n, 1n, 1n, 2n]);
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 10n ** 24n }), (pico) => {
        const gap = ceilPicoToNano(pico) * 1000n - pico;
        expect(gap >= 0n && gap < 1000n).toBe(true);
      }),
    );
  });
});
