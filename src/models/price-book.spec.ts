import { priceUsage, type UsageQuantities } from '@app/money';
import { calcPrice, findProvider, updatePrices, type Usage } from '@pydantic/genai-prices';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
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
    expect(odd.ownCard({ inputPerMillion: '0.000001', outputPerMillion: '0' })?.base).toEqual({
      inputPico: 1n,
      outputPico: 0n,
    });
    expect(euros.ownCard({ inputPerMillion: '1e3', outputPerMillion: '0' })).toBeUndefined();
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
