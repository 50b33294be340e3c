import assert from 'node:assert/strict';
import type { PriceCard, PricedUsage, UsageQuantities } from '@app/money';
import fc from 'fast-check';
import { expectCleanPrototypes } from '../expectations.js';
import type { FuzzTarget } from '../fuzz-target.js';
import { hostileJson, hostileNumber, hostileText, type Json, mutated } from '../hostile-json.js';

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
/** What a price may be is not looked at by the package. */
const tiersOf = (price: number): Json => [
  {
    id: 'openai',
    api_pattern: 'x',
    models: [
      {
        id: 'gpt-tiers',
        match: { equals: 'gpt-tiers' },
        prices: { output_mtok: 9, input_mtok: { base: 1, tiers: [{ start: 10, price }] } },
      },
    ],
  },
];
const NOW = new Date('2026-11-23');
/** Kinds of prices that a usage has the quantity of. */
const UNDERSTOOD =
  /^((input|output|cache_read|cache_write|cache_write_1h|(input|output|cache)_audio(_read)?|(input|output)_image)_mtok|(requests|(web|storage)_searches)_kcount)$/;
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
    const { calcPrice, updatePrices } = await import('@pydantic/genai-prices');
    const { PriceBook } = await import('../../../src/models/price-book.js');
    const { priceUsage, saneUsage, priceCardToJson, priceCardFromJson, priceVersionOf } =
      await import('@app/money');
    // The package writes a line about every price it does not know.
    console.warn = () => undefined;
    const rates = fc.constantFrom('1', '0.92', '150.5', '0.000000001');
    return fc.property(
      fc.oneof({ weight: 9, arbitrary: mutated(DATA, 3) }, hostileNumber().map(tiersOf)),
      fc.oneof(fc.constantFrom(...NAMES), hostileText()),
      rates,
      usages(),
      (data, model, usdRate, usage) => {
        // The package takes what it is given; the gateway must not believe it.
        if (!replace(updatePrices, data)) return;
        const entry = new PriceBook({ usdRate, now: NOW }).find('openai', model);
        expectCleanPrototypes();
        if (!entry) return;
        expectCard(entry.card);
        const priced = calcPrice({}, model, { providerId: 'openai', timestamp: NOW })?.model_price ?? {};
        for (const [kind, price] of Object.entries(priced))
          assert.ok(price === undefined || UNDERSTOOD.test(kind), `${kind} is not left out of the price`);
        const stored: unknown = JSON.parse(JSON.stringify(priceCardToJson(entry.card)));
        assert.equal(priceVersionOf(priceCardFromJson(stored as never)), priceVersionOf(entry.card));
        const sane = saneUsage(usage as UsageQuantities);
        expectReceipt(priceUsage(entry.card, sane), sane);
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

/** Every line is quantity × unit price, the parts make up the totals, and the sum is rounded up once. */
function expectReceipt(
  { costNano, lines }: PricedUsage,
  { inputTokens, outputTokens }: UsageQuantities,
): void {
  let pico = 0n;
  const tokens = { input: 0, output: 0 };
  for (const { category, quantity, unitPico, amountPico } of lines) {
    assert.ok(Number.isSafeInteger(quantity) && quantity > 0 && amountPico >= 0n);
    assert.equal(amountPico, BigInt(quantity) * unitPico);
    pico += amountPico;
    if (category.endsWith('output')) tokens.output += quantity;
    else if (category !== 'request' && !category.startsWith('tool:')) tokens.input += quantity;
  }
  assert.deepEqual(tokens, { input: inputTokens, output: outputTokens });
  assert.ok(costNano * 1_000n >= pico && costNano * 1_000n < pico + 1_000n, 'rounded up once');
}
