import { calcPrice } from '@pydantic/genai-prices';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseDecimalToNano } from './nano-usd.js';
import type { PriceCard, TokenPrices } from './price-card.js';
import { priceUsage, usageCostPico } from './price-usage.js';

/**
 * A second opinion: the same usages priced by the public price library, whose arithmetic is floating point. Prices are
 * read from its own answer, so that only the arithmetic is compared.
 */
const MODELS: readonly (readonly [provider: string, model: string])[] = [
  ['openai', 'gpt-4'],
  ['openai', 'gpt-3.5-turbo'],
  ['openai', 'gpt-4o'],
  ['openai', 'gpt-4o-mini'],
  ['openai', 'gpt-4o-audio-preview'],
  ['openai', 'gpt-4.1'],
  ['openai', 'gpt-5'],
  ['openai', 'o3'],
  ['anthropic', 'claude-3-haiku-20240307'],
  ['anthropic', 'claude-3-5-sonnet-20241022'],
  ['anthropic', 'claude-sonnet-4-20250514'],
  ['anthropic', 'claude-opus-4-1-20250805'],
  ['google', 'gemini-1.5-pro'],
  ['google', 'gemini-2.0-flash'],
  ['google', 'gemini-2.5-flash'],
  ['google', 'gemini-2.5-pro'],
];

const KEYS: Readonly<Record<string, keyof TokenPrices>> = {
  input_mtok: 'inputPico',
  output_mtok: 'outputPico',
  cache_read_mtok: 'cacheReadPico',
  cache_write_mtok: 'cacheWritePico',
  cache_write_1h_mtok: 'cacheWrite1hPico',
  input_audio_mtok: 'audioInputPico',
  cache_audio_read_mtok: 'cacheReadAudioPico',
  output_audio_mtok: 'audioOutputPico',
};

const SEED = 20_261_123;

describe('priceUsage agrees with the public price library', () => {
  it.each(MODELS)('%s %s', (providerId, model) => {
    const sample = calcPrice({ input_tokens: 1, output_tokens: 1 }, model, { providerId });
    if (!sample) throw new Error(`the price library does not know ${model}`);
    const card = cardOf(sample.model_price);
    fc.assert(
      fc.property(usageFor(card), (usage) => {
        const theirs = calcPrice(toLibraryUsage(usage), model, { providerId });
        const { costPico } = priceUsage(card, usage);
        const ours = Number(costPico) / 1e12;
        expect(Math.abs(ours - (theirs?.total_price ?? Number.NaN))).toBeLessThanOrEqual(1e-12 + ours * 1e-9);
        expect(usageCostPico(card, usage)).toBe(costPico);
      }),
      { numRuns: 400, seed: SEED },
    );
  });
});

type ModelPrice = NonNullable<ReturnType<typeof calcPrice>>['model_price'];

function cardOf(modelPrice: ModelPrice): PriceCard {
  const starts = new Set<number>();
  for (const value of Object.values(modelPrice))
    if (typeof value === 'object') for (const tier of value.tiers) starts.add(tier.start);
  const tiers = [...starts].sort((left, right) => left - right);
  return {
    base: pricesAt(modelPrice, 0),
    tiers: tiers.map((start) => ({ aboveInputTokens: start, prices: pricesAt(modelPrice, start + 1) })),
    requestPico: 0n,
    toolCallPico: {},
  };
}

function pricesAt(modelPrice: ModelPrice, inputTokens: number): TokenPrices {
  const prices: Record<string, bigint> = {};
  for (const [theirs, ours] of Object.entries(KEYS)) {
    const value = modelPrice[theirs];
    if (value === undefined) continue;
    const number =
      typeof value === 'number'
        ? value
        : (value.tiers.findLast((tier) => inputTokens > tier.start)?.price ?? value.base);
    prices[ours] = parseDecimalToNano(String(number)) / 1000n;
  }
  const { inputPico = 0n, outputPico = 0n } = prices;
  return { ...prices, inputPico, outputPico };
}

interface SampleUsage {
  inputTokens: number;
  cacheReadInputTokens: number;
  cacheCreationInputTokens: number;
  cacheCreation1hInputTokens: number;
  audioInputTokens: number;
  cacheReadAudioInputTokens: number;
  outputTokens: number;
  audioOutputTokens: number;
}

/** Only categories the card prices: a part without a price is the parent's business in both libraries. */
function usageFor(card: PriceCard): fc.Arbitrary<SampleUsage> {
  const when = (priced: bigint | undefined, most: number) =>
    priced === undefined ? fc.constant(0) : fc.nat(most);
  const { base } = card;
  return fc
    .record({
      text: fc.nat(400_000),
      output: fc.nat(100_000),
      read: when(base.cacheReadPico, 100_000),
      write: when(base.cacheWritePico, 50_000),
      long: when(base.cacheWrite1hPico, 50_000),
      audio: when(base.audioInputPico, 50_000),
      readAudio: when(base.cacheReadAudioPico, 10_000),
      speech: when(base.audioOutputPico, 10_000),
    })
    .map((use) => ({
      inputTokens: use.text + use.read + use.write + use.long + use.audio + use.readAudio,
      cacheReadInputTokens: use.read + use.readAudio,
      cacheCreationInputTokens: use.write + use.long,
      cacheCreation1hInputTokens: use.long,
      audioInputTokens: use.audio + use.readAudio,
      cacheReadAudioInputTokens: use.readAudio,
      outputTokens: use.output + use.speech,
      audioOutputTokens: use.speech,
    }));
}

function toLibraryUsage(usage: SampleUsage): Record<string, number> {
  return {
    input_tokens: usage.inputTokens,
    cache_read_tokens: usage.cacheReadInputTokens,
    cache_write_tokens: usage.cacheCreationInputTokens,
    cache_write_1h_tokens: usage.cacheCreation1hInputTokens,
    input_audio_tokens: usage.audioInputTokens,
    cache_audio_read_tokens: usage.cacheReadAudioInputTokens,
    output_tokens: usage.outputTokens,
    output_audio_tokens: usage.audioOutputTokens,
  };
}
