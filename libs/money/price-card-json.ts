import { createHash } from 'node:crypto';
import type { PriceCard, PriceTier, TokenPrices } from './price-card.js';

/** A price card as it is stored: prices are decimal integers in text (pico-units), absent categories are left out. */
export interface PriceCardJson {
  base: Record<string, string>;
  tiers: { aboveInputTokens: number; prices: Record<string, string> }[];
  requestPico: string;
  toolCallPico: Record<string, string>;
}

/**
 * Every category a card can price, in canonical order. A key that is not here is not part of a card's identity.
 */
const TOKEN_PRICE_KEYS = [
  'audioInputPico',
  'audioOutputPico',
  'cacheReadAudioPico',
  'cacheReadPico',
  'cacheWrite1hPico',
  'cacheWritePico',
  'imageInputPico',
  'imageOutputPico',
  'inputPico',
  'outputPico',
] as const satisfies readonly (keyof TokenPrices)[];

/** Keys sorted, no white space in the JSON of the result: equal cards give equal text. */
export function priceCardToJson(card: PriceCard): PriceCardJson {
  const tools = Object.entries(card.toolCallPico).sort(([left], [right]) => (left < right ? -1 : 1));
  return {
    base: tokenPricesToJson(card.base),
    requestPico: card.requestPico.toString(),
    tiers: card.tiers.map((tier) => ({
      aboveInputTokens: tier.aboveInputTokens,
      prices: tokenPricesToJson(tier.prices),
    })),
    toolCallPico: Object.fromEntries(tools.map(([name, price]) => [name, price.toString()])),
  };
}

export function priceCardFromJson(json: PriceCardJson): PriceCard {
  const tools = Object.entries(json.toolCallPico).map(([name, price]) => [name, BigInt(price)] as const);
  return {
    base: tokenPricesFromJson(json.base),
    tiers: json.tiers.map((tier): PriceTier => ({
      aboveInputTokens: tier.aboveInputTokens,
      prices: tokenPricesFromJson(tier.prices),
    })),
    requestPico: BigInt(json.requestPico),
    toolCallPico: Object.fromEntries(tools),
  };
}

/** Content address of a card: the same prices have the same version on every instance, whenever they were loaded. */
export function priceVersionOf(card: PriceCard): string {
  return createHash('sha256')
    .update(JSON.stringify(priceCardToJson(card)))
    .digest('hex');
}

function tokenPricesToJson(prices: TokenPrices): Record<string, string> {
  const set = TOKEN_PRICE_KEYS.flatMap((key) => {
    const price = prices[key];
    return price === undefined ? [] : [[key, price.toString()] as const];
  });
  return Object.fromEntries(set);
}

function tokenPricesFromJson(json: Record<string, string>): TokenPrices {
  const { inputPico, outputPico } = json;
  if (inputPico === undefined || outputPico === undefined)
    throw new TypeError('price card without base prices');
  const set = TOKEN_PRICE_KEYS.flatMap((key) => {
    const price = json[key];
    return price === undefined ? [] : [[key, BigInt(price)] as const];
  });
  return { inputPico: BigInt(inputPico), outputPico: BigInt(outputPico), ...Object.fromEntries(set) };
}
