import { MAX_NANO, worstCaseCost } from '@app/money';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { HoldQuote } from '../billing-session.js';
import { affordableLimit, outputLimit, quoteCost } from './quote-cost.js';

const bound = fc.record({
  worst: fc.record({
    fixedPico: fc.bigInt({ min: 0n, max: 10n ** 6n }),
    outputTokenPico: fc.bigInt({ min: 0n, max: 10n ** 4n }),
  }),
  maxOutputTokens: fc.integer({ min: 1, max: 500 }),
});
const quotes = fc
  .record({
    bounds: fc.array(bound, { minLength: 1, maxLength: 3 }),
    choices: fc.integer({ min: 1, max: 4 }),
  })
  .map(
    ({ bounds, choices }) =>
      ({
        bounds,
        choices,
        modelMaxOutputTokens: Math.max(...bounds.map(({ maxOutputTokens }) => maxOutputTokens)),
      }) as unknown as HoldQuote,
  );

describe('what a quote comes to', () => {
  it('at the limit that a budget covers is within it, and at one token more beyond it (property)', () => {
    fc.assert(
      fc.property(quotes, fc.bigInt({ min: 0n, max: 20_000n }), (quote, budget) => {
        const limit = affordableLimit(quote, budget);
        if (limit === undefined) {
          expect(quoteCost(quote, 0) > budget).toBe(true);
          return;
        }
        expect(quoteCost(quote, limit) <= budget).toBe(true);
        if (limit < quote.modelMaxOutputTokens) expect(quoteCost(quote, limit + 1) > budget).toBe(true);
        else expect(limit).toBe(quote.modelMaxOutputTokens);
      }),
      { numRuns: 1000 },
    );
  });

  it('is that of the dearest target, none writing more than it can (property)', () => {
    fc.assert(
      fc.property(quotes, fc.nat(600), (quote, tokens) => {
        const costs = quote.bounds.map(({ worst, maxOutputTokens }) =>
          worstCaseCost(worst, Math.min(tokens, maxOutputTokens) * quote.choices),
        );
        const cost = quoteCost(quote, tokens);
        expect(costs).toContain(cost);
        expect(costs.every((each) => each <= cost)).toBe(true);
      }),
    );
  });

  it('is never more than an account can hold, nor for more output than the models have', () => {
    const worst = { fixedPico: 10n ** 30n, outputTokenPico: 0n };
    const quote = {
      bounds: [{ worst, maxOutputTokens: 1 }],
      choices: 1,
      modelMaxOutputTokens: 5,
    } as unknown as HoldQuote;
    expect(quoteCost(quote, 1)).toBe(MAX_NANO);
    expect(
      [undefined, 3, 9].map((requestedMaxOutputTokens) =>
        outputLimit({ ...quote, requestedMaxOutputTokens }),
      ),
    ).toEqual([5, 3, 5]);
  });
});
