import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { priceCardFromJson, priceCardToJson, priceVersionOf } from './price-card-json.js';
import type { PriceCard, TokenPrices } from './price-card.js';
import { priceUsage, saneUsage, usageCostPico, type UsageQuantities } from './price-usage.js';

/** $3 in, $15 out, $0.30 cached, $3.75 / $6 cache writes; doubled above 200k. */
const SONNET: PriceCard = {
  base: {
    inputPico: 3_000_000n,
    outputPico: 15_000_000n,
    cacheReadPico: 300_000n,
    cacheWritePico: 3_750_000n,
    cacheWrite1hPico: 6_000_000n,
  },
  tiers: [{ aboveInputTokens: 200_000, prices: { inputPico: 6_000_000n, outputPico: 22_500_000n } }],
  requestPico: 0n,
  toolCallPico: { web_search: 10_000_000_000n },
};

const AUDIO: PriceCard = {
  base: {
    inputPico: 2_500_000n,
    outputPico: 10_000_000n,
    cacheReadPico: 1_250_000n,
    audioInputPico: 40_000_000n,
    audioOutputPico: 80_000_000n,
    imageInputPico: 5_000_000n,
    imageOutputPico: 40_000_000n,
  },
  tiers: [],
  requestPico: 5_000_000n,
  toolCallPico: {},
};

const quantities = (card: PriceCard, usage: UsageQuantities) =>
  Object.fromEntries(priceUsage(card, usage).lines.map((line) => [line.category, line.quantity]));

describe('priceUsage', () => {
  it.each<[string, PriceCard, UsageQuantities, Record<string, number>, bigint]>([
    [
      'OpenAI: cached tokens are inside prompt_tokens, reasoning inside completion_tokens',
      SONNET,
      { inputTokens: 1000, cacheReadInputTokens: 900, outputTokens: 50 },
      { input: 100, cache_read: 900, output: 50 },
      1_320_000n,
    ],
    [
      'Anthropic: reads and writes of both lifetimes, already added to the total',
      SONNET,
      {
        inputTokens: 10_000,
        cacheReadInputTokens: 4000,
        cacheCreationInputTokens: 5000,
        cacheCreation1hInputTokens: 2000,
        outputTokens: 10,
        serverToolCalls: { web_search: 2, code_execution: 9 },
      },
      {
        input: 1000,
        cache_read: 4000,
        cache_write: 3000,
        cache_write_1h: 2000,
        output: 10,
        'tool:web_search': 2,
        'tool:code_execution': 9,
      },
      3_000_000n + 1_200_000n + 11_250_000n + 12_000_000n + 150_000n + 20_000_000n,
    ],
    [
      'Gemini: audio and images priced apart, cached audio as the dearer of its two kinds',
      AUDIO,
      {
        inputTokens: 1000,
        cacheReadInputTokens: 300,
        audioInputTokens: 200,
        cacheReadAudioInputTokens: 100,
        imageInputTokens: 258,
        outputTokens: 1500,
        audioOutputTokens: 200,
        imageOutputTokens: 1290,
      },
      {
        input: 342,
        cache_read: 200,
        cache_read_audio: 100,
        audio_input: 100,
        image_input: 258,
        output: 10,
        audio_output: 200,
        image_output: 1290,
        request: 1,
      },
      // 342×2.5 + 200×1.25 + 100×40 + 100×40 + 258×5 + 10×10 + 200×80 + 1290×40 + 5 millionths
      78_100_000n,
    ],
    ['nothing used', SONNET, { inputTokens: 0, outputTokens: 0 }, {}, 0n],
    [
      'parts beyond the total are cut to it',
      SONNET,
      { inputTokens: 100, cacheReadInputTokens: 1000, outputTokens: 5, audioOutputTokens: 9 },
      { cache_read: 100, audio_output: 5 },
      105_000n,
    ],
  ])('%s', (_name, card, usage, expected, costNano) => {
    const priced = priceUsage(card, usage);
    expect(quantities(card, usage)).toEqual(expected);
    expect(priced.costNano).toBe(costNano);
  });

  it.each<[Partial<TokenPrices>, bigint]>([
    [{}, 2n],
    [{ cacheReadPico: 1n }, 1n],
    [{ audioInputPico: 9n }, 9n],
    [{ cacheReadPico: 7n, audioInputPico: 5n }, 7n],
    [{ cacheReadPico: 1n, audioInputPico: 9n }, 9n],
    [{ cacheReadPico: 1n, audioInputPico: 9n, cacheReadAudioPico: 3n }, 3n],
  ])('prices cached audio by %o at %s', (prices, unitPico) => {
    const card = { ...AUDIO, base: { inputPico: 2n, outputPico: 2n, ...prices } };
    const usage = { inputTokens: 1, cacheReadAudioInputTokens: 1, outputTokens: 0 };
    expect(priceUsage(card, usage).lines[0]).toMatchObject({ category: 'cache_read_audio', unitPico });
  });

  // A vendor's search calls the model anew, and tells the sum. Vendors price each call by its own length.
  it('prices a sum over several calls by the tier that one of them has reached for certain', () => {
    const tierOf = (inputTokens: number, modelCalls?: number) =>
      priceUsage(SONNET, { inputTokens, outputTokens: 0, modelCalls }).tierAboveInputTokens;
    expect(tierOf(600_001)).toBe(200_000);
    expect(tierOf(600_001, 1)).toBe(200_000);
    expect(tierOf(600_001, 0)).toBe(200_000);
    expect(tierOf(600_001, 3)).toBe(200_000);
    expect(tierOf(600_000, 3)).toBe(0);
    const costs = { inputTokens: 600_000, outputTokens: 1_000, modelCalls: 3 };
    expect(priceUsage(SONNET, costs).costPico).toBe(usageCostPico(SONNET, costs));
    expect(usageCostPico(SONNET, costs)).toBe(600_000n * 3_000_000n + 1_000n * 15_000_000n);
  });

  it('prices the whole request by the tier above its limit, not at it', () => {
    expect(priceUsage(SONNET, { inputTokens: 200_000, outputTokens: 0 }).tierAboveInputTokens).toBe(0);
    const above = priceUsage(SONNET, { inputTokens: 200_001, outputTokens: 1 });
    expect(above.tierAboveInputTokens).toBe(200_000);
    expect(above.costPico).toBe(200_001n * 6_000_000n + 22_500_000n);
  });

  it('conserves tokens: the lines of input and output sum up to the totals, whatever is reported', () => {
    fc.assert(
      fc.property(usageArbitrary, fc.constantFrom(SONNET, AUDIO), (usage, card) => {
        const { lines, costPico } = priceUsage(card, usage);
        const sum = (output: boolean) =>
          lines
            .filter((line) => line.category !== 'request' && line.category.includes('output') === output)
            .reduce((total, line) => total + line.quantity, 0);
        expect(sum(false)).toBe(usage.inputTokens);
        expect(sum(true)).toBe(usage.outputTokens);
        expect(lines.every((line) => line.quantity > 0 && line.amountPico >= 0n)).toBe(true);
        expect(usageCostPico(card, usage)).toBe(costPico);
        expect(costPico).toBe(lines.reduce((total, line) => total + line.amountPico, 0n));
      }),
    );
  });

  it('comes to the same from what is stored, and never to less than all of it at the cheapest price', () => {
    fc.assert(
      fc.property(cardArbitrary, usageArbitrary, (card, usage) => {
        const stored = JSON.parse(
          JSON.stringify({ card: priceCardToJson(card), usage: saneUsage(usage) }),
        ) as {
          card: ReturnType<typeof priceCardToJson>;
          usage: UsageQuantities;
        };
        const { costPico, costNano } = priceUsage(card, usage);
        expect(priceUsage(priceCardFromJson(stored.card), stored.usage)).toEqual(priceUsage(card, usage));
        const cheapest = (output: boolean): bigint => {
          const prices = [card.base, ...card.tiers.map((tier) => tier.prices)].flatMap((each) =>
            Object.entries(each).filter(([name]) => /output/i.test(name) === output),
          );
          return prices.reduce(
            (least, [, pico]) => (pico !== undefined && pico < least ? pico : least),
            HUGE,
          );
        };
        const least =
          BigInt(usage.inputTokens) * cheapest(false) + BigInt(usage.outputTokens) * cheapest(true);
        expect(costPico >= least + card.requestPico).toBe(true);
        expect(costNano * 1000n - costPico >= 0n && costNano * 1000n - costPico < 1000n).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });

  it('is monotone in output and, without a cheaper tier, in input', () => {
    fc.assert(
      fc.property(usageArbitrary, fc.nat(5000), fc.nat(5000), (usage, moreInput, moreOutput) => {
        const more = {
          ...usage,
          inputTokens: usage.inputTokens + moreInput,
          outputTokens: usage.outputTokens + moreOutput,
        };
        expect(priceUsage(AUDIO, more).costPico >= priceUsage(AUDIO, usage).costPico).toBe(true);
      }),
    );
  });
});

describe('saneUsage', () => {
  it('makes broken counts harmless and keeps unknown unknown', () => {
    const broken = {
      inputTokens: Number.NaN,
      outputTokens: Number.NaN,
      cacheReadInputTokens: 1.2,
      cacheCreationInputTokens: -5,
      audioInputTokens: undefined,
      imageInputTokens: Infinity,
      imageOutputTokens: '7' as unknown as number,
      serverToolCalls: { web_search: Number.NaN, other: 2 },
    };
    expect(saneUsage(broken)).toStrictEqual({
      inputTokens: 0,
      outputTokens: 0,
      cacheReadInputTokens: 2,
      cacheCreationInputTokens: 0,
      audioInputTokens: undefined,
      imageInputTokens: 1_000_000_000,
      imageOutputTokens: undefined,
      serverToolCalls: { other: 2 },
    });
    const none = { inputTokens: 1, outputTokens: 1, serverToolCalls: undefined };
    expect(saneUsage(none)).toStrictEqual(none);
  });

  it.each(['', '__proto__', 'a\u0000b', '\ud800', 'a b', 'x'.repeat(65)])(
    'leaves out a tool that has no name but %j: it is stored, and a database does not take every text',
    (name) => {
      const usage = { inputTokens: 1, outputTokens: 1, serverToolCalls: { [name]: 1, web_search: 2 } };
      expect(saneUsage(usage).serverToolCalls).toEqual({ web_search: 2 });
    },
  );
});

describe('price version', () => {
  it('survives storage and depends on prices only, not on the order they were written in', () => {
    const stored = JSON.parse(JSON.stringify(priceCardToJson(SONNET))) as ReturnType<typeof priceCardToJson>;
    expect(priceCardFromJson(stored)).toEqual(SONNET);
    expect(priceVersionOf(priceCardFromJson(stored))).toBe(priceVersionOf(SONNET));
    const tools = { web_search: 1n, file_search: 2n, google_maps: 3n };
    const reordered: PriceCard = {
      ...AUDIO,
      toolCallPico: Object.fromEntries(Object.entries(tools).toReversed()),
      base: {
        ...Object.fromEntries(Object.entries(AUDIO.base).toReversed()),
        inputPico: 2_500_000n,
        outputPico: 10_000_000n,
      },
    };
    expect(priceVersionOf(reordered)).toBe(priceVersionOf({ ...AUDIO, toolCallPico: tools }));
    expect(priceVersionOf({ ...AUDIO, requestPico: 1n })).not.toBe(priceVersionOf(AUDIO));
    expect(priceVersionOf({ ...AUDIO, base: { ...AUDIO.base, cacheReadPico: undefined } })).not.toBe(
      priceVersionOf({ ...AUDIO, base: { ...AUDIO.base, cacheReadPico: 0n } }),
    );
  });
});

const part = fc.option(fc.nat(3000), { nil: undefined });
const usageArbitrary = fc.record({
  inputTokens: fc.nat(10_000),
  cacheReadInputTokens: part,
  cacheCreationInputTokens: part,
  cacheCreation1hInputTokens: part,
  audioInputTokens: part,
  cacheReadAudioInputTokens: part,
  imageInputTokens: part,
  outputTokens: fc.nat(10_000),
  audioOutputTokens: part,
  imageOutputTokens: part,
});

const HUGE = 10n ** 30n;
const pico = fc.bigInt({ min: 0n, max: 100_000_000n });
const maybe = fc.option(pico, { nil: undefined });
const pricesArbitrary = fc.record({
  inputPico: pico,
  outputPico: pico,
  cacheReadPico: maybe,
  cacheWritePico: maybe,
  cacheWrite1hPico: maybe,
  audioInputPico: maybe,
  cacheReadAudioPico: maybe,
  audioOutputPico: maybe,
  imageInputPico: maybe,
  imageOutputPico: maybe,
});
const cardArbitrary: fc.Arbitrary<PriceCard> = fc.record({
  base: pricesArbitrary,
  tiers: fc
    .option(fc.record({ aboveInputTokens: fc.nat(9000), prices: pricesArbitrary }), { nil: undefined })
    .map((tier) => (tier ? [tier] : [])),
  requestPico: pico,
  toolCallPico: fc.record({ web_search: pico }),
});
