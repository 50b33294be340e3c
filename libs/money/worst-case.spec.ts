import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PriceCard, TokenPrices } from './price-card.js';
import { priceUsage } from './price-usage.js';
import { affordableOutputTokens, worstCase, worstCaseCost, type UsageBound } from './worst-case.js';

const price = fc.bigInt({ min: 0n, max: 100_000_000n });
const maybePrice = fc.option(price, { nil: undefined });
const prices: fc.Arbitrary<TokenPrices> = fc.record({
  inputPico: price,
  outputPico: price,
  cacheReadPico: maybePrice,
  cacheWritePico: maybePrice,
  cacheWrite1hPico: maybePrice,
  audioInputPico: maybePrice,
  cacheReadAudioPico: maybePrice,
  audioOutputPico: maybePrice,
  imageInputPico: maybePrice,
  imageOutputPico: maybePrice,
});
const cards: fc.Arbitrary<PriceCard> = fc.record({
  base: prices,
  tiers: fc.oneof(
    fc.constant([]),
    fc.record({ aboveInputTokens: fc.nat(4000), prices }).map((tier) => [tier]),
  ),
  requestPico: price,
  toolCallPico: fc.record({ web_search: price }),
});

/** A usage and a bound that contains it. */
const boundedUsage = fc
  .record({
    text: fc.nat(5000),
    read: fc.nat(500),
    write: fc.nat(500),
    long: fc.nat(200),
    audio: fc.nat(500),
    cachedAudio: fc.nat(100),
    image: fc.nat(500),
    output: fc.nat(5000),
    speech: fc.nat(500),
    searches: fc.nat(3),
    slack: fc.nat(1000),
    calls: fc.integer({ min: 1, max: 5 }),
  })
  .map((use) => {
    const inputTokens = use.text + use.read + use.write + use.long + use.audio + use.cachedAudio + use.image;
    const bound: UsageBound = {
      inputTokens: inputTokens + use.slack,
      largestCallTokens: Math.ceil(inputTokens / use.calls) + use.slack,
      audioInputTokens: use.audio + use.cachedAudio,
      imageInputTokens: use.image,
      longCacheWrites: use.long > 0,
      audioOutput: use.speech > 0,
      serverToolCalls: { web_search: use.searches, unpriced: 1 },
    };
    const usage = {
      inputTokens,
      cacheReadInputTokens: use.read + use.cachedAudio,
      cacheReadAudioInputTokens: use.cachedAudio,
      cacheCreationInputTokens: use.write + use.long,
      cacheCreation1hInputTokens: use.long,
      audioInputTokens: use.audio + use.cachedAudio,
      imageInputTokens: use.image,
      outputTokens: use.output + use.speech,
      audioOutputTokens: use.speech,
      serverToolCalls: { web_search: use.searches },
      modelCalls: use.calls,
    };
    return { bound, usage };
  });

describe('worstCase', () => {
  it('is never below the price of a usage inside the bound, for any card', () => {
    fc.assert(
      fc.property(cards, boundedUsage, (card, { bound, usage }) => {
        const held = worstCaseCost(worstCase(card, bound), usage.outputTokens);
        expect(held >= priceUsage(card, usage).costNano).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  const DEAR: PriceCard = {
    base: { inputPico: 2n, outputPico: 3n, audioInputPico: 7n, imageInputPico: 5n },
    tiers: [{ aboveInputTokens: 100, prices: { inputPico: 20n, outputPico: 30n } }],
    requestPico: 1_000n,
    toolCallPico: { web_search: 10_000n, image_generation: 50_000n },
  };
  const TEXT: UsageBound = {
    inputTokens: 100,
    largestCallTokens: 100,
    audioInputTokens: 0,
    imageInputTokens: 0,
    longCacheWrites: false,
    audioOutput: false,
    serverToolCalls: {},
  };

  it.each<[string, Partial<UsageBound>, fixedPico: bigint, outputTokenPico: bigint]>([
    ['text', {}, 1_000n + 200n, 3n],
    ['a call beyond the tier', { largestCallTokens: 101 }, 1_000n + 2_000n, 30n],
    [
      'each kind of input once',
      { audioInputTokens: 30, imageInputTokens: 20 },
      1_000n + 100n + 210n + 100n,
      3n,
    ],
    [
      'tools that have a price',
      { serverToolCalls: { web_search: 3, toString: 1 } },
      1_000n + 200n + 30_000n,
      3n,
    ],
  ])('is no more than it takes: %s', (_name, bound, fixedPico, outputTokenPico) => {
    expect(worstCase(DEAR, { ...TEXT, ...bound })).toEqual({ fixedPico, outputTokenPico });
  });
});

describe('affordableOutputTokens', () => {
  it('is the largest count that the budget covers', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: 0n, max: 10n ** 12n }),
        fc.bigInt({ min: 1n, max: 10n ** 8n }),
        fc.bigInt({ min: 0n, max: 10n ** 9n }),
        (fixedPico, outputTokenPico, budget) => {
          const worst = { fixedPico, outputTokenPico };
          const tokens = affordableOutputTokens(worst, budget);
          if (tokens === undefined) {
            expect(worstCaseCost(worst, 0) > budget).toBe(true);
            return;
          }
          expect(worstCaseCost(worst, tokens) <= budget).toBe(true);
          expect(worstCaseCost(worst, tokens + 1) > budget).toBe(true);
        },
      ),
    );
  });

  it('is unlimited when output is free and nothing when the input alone is too dear', () => {
    expect(affordableOutputTokens({ fixedPico: 0n, outputTokenPico: 0n }, 0n)).toBe(Infinity);
    expect(affordableOutputTokens({ fixedPico: 1001n, outputTokenPico: 1n }, 1n)).toBeUndefined();
  });
});
