import { priceUsage, type UsageQuantities } from '@app/money';
import { calcPrice, findProvider, updatePrices, type Usage } from '@pydantic/genai-prices';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ANTHROPIC } from '../providers/anthropic/index.js';
import { GOOGLE } from '../providers/google/index.js';
import { OPENAI } from '../providers/openai/index.js';
import { PriceBook } from './price-book.js';

const now = new Date('2026-11-23T12:00:00Z');
const book = new PriceBook({ usdRate: '1', now });

describe('PriceBook', () => {
  const fetched = vi.fn();
  beforeEach(() => void vi.stubGlobal('fetch', fetched));
  afterEach(() => {
    vi.unstubAllGlobals();
    expect(fetched).not.toHaveBeenCalled();
  });

  it('gives the published prices, per token in pico-dollars', () => {
    expect(book.find('openai', 'gpt-4')).toEqual({
      card: {
        base: { inputPico: 30_000_000n, outputPico: 60_000_000n },
        tiers: [],
        requestPico: 0n,
        toolCallPico: {},
      },
      contextWindow: 8192,
    });
    expect(book.find('anthropic', 'claude-3-opus-20240229')?.card.base).toEqual({
      inputPico: 15_000_000n,
      outputPico: 75_000_000n,
      cacheReadPico: 1_500_000n,
      cacheWritePico: 18_750_000n,
      cacheWrite1hPico: 30_000_000n,
    });
  });

  it('reads tiers, which begin above their start', () => {
    const card = book.find('google', 'gemini-1.5-pro')?.card;
    expect(card).toMatchObject({
      base: { inputPico: 1_250_000n, outputPico: 5_000_000n },
      tiers: [{ aboveInputTokens: 128_000, prices: { inputPico: 2_500_000n, outputPico: 10_000_000n } }],
    });
  });

  it('reads prices of tools, per call', () => {
    expect(book.find('openai', 'gpt-4o')?.card.toolCallPico).toEqual({
      web_search: 10_000_000_000n,
      file_search: 2_500_000_000n,
    });
    expect(book.find('perplexity', 'sonar')?.card.requestPico).toBeGreaterThan(0n);
  });

  it('takes of a vendor’s folder what the data leaves out, and no more, in the gateway’s currency', () => {
    const vendor = {
      priceBookId: 'openai',
      toolPrices: () => ({ web_search: '9', code_execution: '0.03' }),
      requestPrice: (model: string) => (model === 'unknown' ? '0.01' : undefined),
    };
    const known = book.find('openai', 'gpt-4o');
    expect(book.ofVendor(vendor, 'gpt-4o')).toEqual({
      price: {
        ...known?.card,
        requestPico: undefined,
        toolCallPico: {
          web_search: 10_000_000_000n,
          file_search: 2_500_000_000n,
          code_execution: 30_000_000_000n,
        },
      },
      contextWindow: known?.contextWindow,
    });
    const euros = new PriceBook({ usdRate: '0.5', now });
    expect(euros.ofVendor(vendor, 'unknown').price).toEqual({
      base: undefined,
      tiers: [],
      requestPico: 5_000_000_000n,
      toolCallPico: { web_search: 4_500_000_000_000n, code_execution: 15_000_000_000n },
    });
    const data = { priceBookId: 'perplexity', requestPrice: () => '9' };
    expect(book.ofVendor(data, 'sonar').price?.requestPico).toBe(
      book.find('perplexity', 'sonar')?.card.requestPico,
    );
  });

  it('takes the price of the day', () => {
    const before = new PriceBook({ usdRate: '1', now: new Date('2025-06-09T23:59:59Z') }).find(
      'openai',
      'o3',
    );
    const after = new PriceBook({ usdRate: '1', now: new Date('2025-06-10T00:00:00Z') }).find('openai', 'o3');
    expect([before?.card.base.inputPico, after?.card.base.inputPico]).toEqual([10_000_000n, 2_000_000n]);
  });

  it.each([
    ['openai', 'gpt-999'],
    ['openai', 'text-embedding-3-small'],
    ['openai', 'whisper-1'],
    ['openai', 'claude-3-opus-20240229'],
    ['nobody', 'gpt-4'],
    ['deepseek', 'deepseek-chat'],
    ['perplexity', 'sonar-deep-research'],
    ['openai', ''],
  ])('has no complete price for %s %j', (provider, model) => {
    expect(book.find(provider, model)).toBeUndefined();
  });

  it('converts to another currency exactly, rounding a fraction of a pico-unit up', () => {
    const euros = new PriceBook({ usdRate: '0.917', now });
    expect(euros.find('openai', 'gpt-4')?.card.base).toEqual({
      inputPico: 27_510_000n,
      outputPico: 55_020_000n,
    });
    const odd = new PriceBook({ usdRate: '0.333333333', now });
    const own = { priceBookId: undefined, ownPrices: { m: { input_mtok: 0.000001, output_mtok: 0 } } };
    expect(odd.ofVendor(own, 'm').price?.base).toEqual({ inputPico: 1n, outputPico: 0n });
    const unreadable = { ...own, ownPrices: { m: { input_mtok: 1e21, output_mtok: 0 } } };
    expect(euros.ofVendor(unreadable, 'm').price?.base).toBeUndefined();
    expect(euros.ofVendor(own, 'constructor').price?.base).toBeUndefined();
  });

  it('agrees with the data’s own calculation for every model of the three vendors', () => {
    let compared = 0;
    for (const providerId of ['openai', 'anthropic', 'google']) {
      for (const model of findProvider({ providerId })?.models ?? []) {
        const card = book.find(providerId, model.id)?.card;
        if (!card) continue;
        for (const [ours, theirs] of usages(card.base.audioInputPico !== undefined)) {
          const expected =
            calcPrice(theirs, model.id, { providerId, timestamp: now })?.total_price ?? Number.NaN;
          const actual = Number(priceUsage(card, ours).costPico) / 1e12;
          expect(Math.abs(actual - expected), `${providerId}/${model.id}`).toBeLessThanOrEqual(
            1e-9 * Math.max(1, expected),
          );
          compared++;
        }
      }
    }
    expect(compared).toBeGreaterThan(300);
  });
});

describe.each([OPENAI, ANTHROPIC, GOOGLE])('what is newer than the data: $name', (vendor) => {
  it('has a price for every listed model', () => {
    const unpriced = vendor.models.filter(
      ({ id, upstreamModel = id }) => !book.ofVendor(vendor, upstreamModel).price?.base,
    );
    expect(unpriced.map(({ id }) => id)).toEqual([]);
  });

  it.each(Object.keys(vendor.ownPrices ?? {}))('%s is listed, and has no entry in the data yet', (name) => {
    expect(vendor.models.map(({ id }) => id)).toContain(name);
    const data = calcPrice({}, name, { providerId: vendor.name, timestamp: now });
    expect(data?.model.id).not.toBe(name);
  });
});

describe('prices of our own', () => {
  const costOf = (vendor: typeof OPENAI, model: string, usage: UsageQuantities, day = '2026-11-30') => {
    const prices = new PriceBook({ usdRate: '1', now: new Date(`${day}T12:00:00Z`) });
    const { base, tiers = [], toolCallPico = {} } = prices.ofVendor(vendor, model).price ?? {};
    if (!base) return undefined;
    return Number(priceUsage({ base, tiers, requestPico: 0n, toolCallPico }, usage).costPico) / 1e12;
  };
  const million = { inputTokens: 0, outputTokens: 1_000_000 };

  it('makes all of a request with long input dearer', () => {
    const usage = (inputTokens: number) => ({
      inputTokens,
      outputTokens: 1_000,
      cacheReadInputTokens: 1_000,
      cacheCreationInputTokens: 2_000,
      cacheCreation1hInputTokens: 1_000,
    });
    expect(costOf(OPENAI, 'gpt-6.2-astra', usage(272_000))).toBeCloseTo(2.2224, 10);
    expect(costOf(OPENAI, 'gpt-6.2-astra', usage(272_001))).toBeCloseTo(4.424816, 10);
    expect(costOf(ANTHROPIC, 'claude-haiku-5-5', usage(100_000))).toBeCloseTo(0.010535, 10);
    expect(costOf(ANTHROPIC, 'claude-haiku-5-5', usage(100_001))).toBeCloseTo(0.0526755, 10);
  });

  it('is not taken for that of an older model of the same name', () => {
    const read = { inputTokens: 1_000_000, outputTokens: 0, cacheReadInputTokens: 1_000_000 };
    expect(costOf(ANTHROPIC, 'claude-sonnet-5-5', read)).toBe(0.1);
    expect(costOf(ANTHROPIC, 'claude-sonnet-5', read)).toBe(0.2);
    expect(costOf(ANTHROPIC, 'claude-sonnet-5-5', { ...million, serverToolCalls: { web_search: 1 } })).toBe(
      10.01,
    );
  });

  it('begins with its day', () => {
    expect(costOf(GOOGLE, 'gemini-4-argon', million)).toBe(10);
    expect(costOf(GOOGLE, 'gemini-4-argon', million, '2026-12-01')).toBe(20);
  });
});

it('has a price for searches of the web and of files at every model of OpenAI', () => {
  const unpriced = OPENAI.models.filter(({ id, upstreamModel = id }) => {
    const { web_search, file_search } = book.ofVendor(OPENAI, upstreamModel).price?.toolCallPico ?? {};
    return web_search !== 10_000_000_000n || file_search === undefined;
  });
  expect(unpriced.map(({ id }) => id)).toEqual([]);
});

/** The last of this file: it replaces the data. */
describe('data in a form that is not known', () => {
  it.each([
    ['a name of every object', { constructor: { prototype: {} } }],
    ['a price that is neither number nor tiers', { input_mtok: { base: 1 }, output_mtok: 1 }],
    ['a unit that usage does not tell', { input_mtok: 1, output_mtok: 1, seconds: 1 }],
  ])('prices nothing: %s', (_what, prices) => {
    const model = { id: 'm', match: { equals: 'm' }, prices };
    const provider = { id: 'p', name: 'P', api_pattern: 'p', models: [model] };
    updatePrices(({ setProviderData }) => setProviderData([provider] as never));
    expect(new PriceBook({ usdRate: '1', now }).find('p', 'm')).toBeUndefined();
  });
});

/** The same usage in our words and in the data's; below and above every tier. */
function usages(audio: boolean): [UsageQuantities, Usage][] {
  return [1, 1_000, 128_000, 128_001, 200_000, 200_001, 272_000, 272_001, 1_000_003].map((inputTokens) => {
    const part = Math.floor(inputTokens / 5);
    const audioInputTokens = audio ? part : 0;
    return [
      {
        inputTokens,
        outputTokens: 777,
        cacheReadInputTokens: part,
        cacheCreationInputTokens: part,
        cacheCreation1hInputTokens: 0,
        audioInputTokens,
      },
      {
        input_tokens: inputTokens,
        output_tokens: 777,
        cache_read_tokens: part,
        cache_write_tokens: part,
        ...(audio ? { input_audio_tokens: part, cache_audio_read_tokens: 0 } : {}),
      },
    ];
  });
}
