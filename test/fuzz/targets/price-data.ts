import assert from 'node:assert/strict';
import type { PriceCard } from '@app/money';
import fc from 'fast-check';
import { expectCleanPrototypes } from '../expectations.js';
import type { FuzzTarget } from '../fuzz-target.js';
import { hostileJson, hostileText, type Json, mutated } from '../hostile-json.js';

/** Providers as the price data has them. */
const DATA: readonly Json[] = [
  [
    {
      id: 'openai',
      name: 'OpenAI',
      api_pattern: 'api\\.openai\\.com',
      models: [
        {
          id: 'gpt-fuzz',
          match: { equals: 'gpt-fuzz' },
          context_window: 8_192,
          prices: { input_mtok: 0.15, output_mtok: 0.6, cache_read_mtok: 0.075, requests_kcount: 0.5 },
        },
        {
          id: 'gpt-tiers',
          match: { or: [{ starts_with: 'gpt-tiers' }, { regex: '^gt-\\d+$' }] },
          prices: [
            {
              constraint: { type: 'start_date', start_date: '2026-01-01' },
              prices: {
                input_mtok: { base: 1.25, tiers: [{ start: 200_000, price: 2.5 }] },
                output_mtok: { base: 10, tiers: [{ start: 200_000, price: 15 }] },
                web_searches_kcount: 10,
              },
            },
            { prices: { input_mtok: 3, output_mtok: 9 } },
          ],
        },
      ],
    },
  ],
];
const NAMES = ['gpt-fuzz', 'gpt-tiers', 'gpt-tiers-x', 'gt-1', '__proto__', 'constructor'];

const usages = () => {
  const count = fc.oneof(fc.nat(1_000_000), fc.constantFrom(0, 1, 2 ** 31, 1e9, 1e12));
  const wild = fc.oneof(
    count,
    hostileJson() as fc.Arbitrary<unknown>,
    fc.constantFrom(-1, 0.5, NaN, Infinity),
  );
  return fc.record(
    {
      inputTokens: wild,
      outputTokens: wild,
      cacheReadInputTokens: wild,
      cacheCreationInputTokens: wild,
      cacheCreation1hInputTokens: wild,
      audioInputTokens: wild,
      cacheReadAudioInputTokens: wild,
      imageInputTokens: wild,
      audioOutputTokens: wild,
      imageOutputTokens: wild,
      serverToolCalls: fc.oneof(hostileJson() as fc.Arbitrary<unknown>, fc.dictionary(hostileText(), wild)),
    },
    { requiredKeys: [] },
  );
};

export const PRICE_DATA: FuzzTarget = {
  name: 'price-data',
  promise:
    'price data that is not understood prices nothing; what is priced costs a whole amount, never below zero',
  shortRuns: 800,
  async property() {
    const { updatePrices } = await import('@pydantic/genai-prices');
    const { PriceBook } = await import('../../../src/models/price-book.js');
    const { priceUsage, saneUsage, priceCardToJson, priceCardFromJson, priceVersionOf } =
      await import('@app/money');
    // The package writes a line about every price it does not know.
    console.warn = () => undefined;
    const rates = fc.constantFrom('1', '0.92', '150.5', '0.000000001');
    return fc.property(
      mutated(DATA, 3),
      fc.oneof(fc.constantFrom(...NAMES), hostileText()),
      rates,
      usages(),
      (data, model, usdRate, usage) => {
        // The package takes what it is given; the gateway must not believe it.
        if (!replace(updatePrices, data)) return;
        const entry = new PriceBook({ usdRate, now: new Date('2026-11-23') }).find('openai', model);
        expectCleanPrototypes();
        if (!entry) return;
        expectCard(entry.card);
        const stored: unknown = JSON.parse(JSON.stringify(priceCardToJson(entry.card)));
        assert.equal(priceVersionOf(priceCardFromJson(stored as never)), priceVersionOf(entry.card));
        const { costNano, lines } = priceUsage(entry.card, saneUsage(usage as never));
        assert.ok(costNano >= 0n && lines.every((line) => line.quantity >= 0 && line.amountPico >= 0n));
      },
    );
  },
};

/** `false` when the package itself refuses the data. */
function replace(update: typeof import('@pydantic/genai-prices').updatePrices, data: Json): boolean {
  try {
    update(({ setProviderData }) => setProviderData(data as never));
    return true;
  } catch {
    return false;
  }
}

function expectCard({ base, tiers, requestPico, toolCallPico }: PriceCard): void {
  for (const prices of [base, ...tiers.map((tier) => tier.prices)]) {
    assert.ok(
      typeof prices.inputPico === 'bigint' && typeof prices.outputPico === 'bigint',
      'both are priced',
    );
    for (const pico of Object.values(prices)) assert.ok(pico === undefined || pico >= 0n);
  }
  for (const { aboveInputTokens } of tiers)
    assert.ok(Number.isSafeInteger(aboveInputTokens) && aboveInputTokens > 0);
  assert.ok(requestPico >= 0n && Object.values(toolCallPico).every((pico) => pico >= 0n));
}
