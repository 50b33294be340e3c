import { type PriceCard, type PriceTier, type TokenPrices } from '@app/money';
import {
  calcPrice,
  type ModelInfo,
  type ModelPrice,
  type PriceOptions,
  type TieredPrices,
} from '@pydantic/genai-prices';
import type { GatewayPrice } from '../config/gateway-config.js';
import { parseDecimal } from '../config/parse-decimal.js';
import type { ProviderDefinition } from '../providers/provider-definition.js';

/** What the price data knows of one model. */
export interface BookEntry {
  /** In BILLING_CURRENCY. */
  readonly card: PriceCard;
  readonly contextWindow: number | undefined;
}

export interface PriceBookOptions {
  /** Units of BILLING_CURRENCY for one US dollar, a decimal with at most 9 fraction digits. */
  readonly usdRate: string;
  /** Prices with a start date are taken as they are at this moment. */
  readonly now: Date;
}

/** Our category by the data's key. The data prices per million tokens, in US dollars. */
const TOKEN_KEYS: ReadonlyMap<string, keyof TokenPrices> = new Map([
  ['input_mtok', 'inputPico'],
  ['output_mtok', 'outputPico'],
  ['cache_read_mtok', 'cacheReadPico'],
  ['cache_write_mtok', 'cacheWritePico'],
  ['cache_write_1h_mtok', 'cacheWrite1hPico'],
  ['input_audio_mtok', 'audioInputPico'],
  ['cache_audio_read_mtok', 'cacheReadAudioPico'],
  ['output_audio_mtok', 'audioOutputPico'],
  ['input_image_mtok', 'imageInputPico'],
  ['output_image_mtok', 'imageOutputPico'],
] as const);

/** The name used in `Usage.serverToolCalls` by the data's key, priced per thousand calls. */
const TOOL_KEYS: ReadonlyMap<string, string> = new Map([
  ['web_searches_kcount', 'web_search'],
  ['storage_searches_kcount', 'file_search'],
]);

const REQUEST_KEY = 'requests_kcount';

/** Fraction digits that make a price per million tokens a whole number of pico-units per token. */
const PER_MILLION_DIGITS = 6;
/** The same for a price per thousand calls. */
const PER_THOUSAND_DIGITS = 9;
const PER_CALL_DIGITS = 12;
const FREE: TokenPrices = { inputPico: 0n, outputPico: 0n };
const RATE_DIGITS = 9;
const RATE_SCALE = 10n ** BigInt(RATE_DIGITS);

/**
 * Prices that come with the program: the data bundled in `@pydantic/genai-prices`, made exact.
 *
 * The package computes in floating point, so only its data is used, and its rules for finding a model's entry; it is never
 * told to update itself and asks nothing of the network. A model is priced completely or not at all: when an entry has a
 * kind of price that a `PriceCard` cannot hold (per hour, per page, by the time of day), the model counts as unpriced.
 */
export class PriceBook {
  readonly #rate: bigint;

  constructor(private readonly options: PriceBookOptions) {
    this.#rate = parseDecimal(options.usdRate, RATE_DIGITS) ?? RATE_SCALE;
  }

  /** @param providerId  the vendor's name in the data (`ProviderDefinition.priceBookId`) */
  find(providerId: string, upstreamModel: string): BookEntry | undefined {
    return this.#entry(upstreamModel, { providerId });
  }

  /** What a vendor takes for a model: for tokens, where its folder or the data knows them, and beside them. */
  ofVendor(
    vendor: Pick<ProviderDefinition, 'priceBookId' | 'ownPrices' | 'toolPrices' | 'requestPrice'>,
    upstreamModel: string,
  ): { price: GatewayPrice | undefined; contextWindow: number | undefined } {
    const { priceBookId } = vendor;
    const data = priceBookId === undefined ? undefined : this.find(priceBookId, upstreamModel);
    const { card, contextWindow } = this.#own(vendor.ownPrices, upstreamModel) ?? data ?? {};
    const beside = this.convert({
      base: FREE,
      tiers: [],
      requestPico: parseDecimal(vendor.requestPrice?.(upstreamModel) ?? '0', PER_CALL_DIGITS)!,
      toolCallPico: perCall(vendor.toolPrices?.(upstreamModel) ?? {}),
    });
    return {
      price: {
        base: card?.base,
        tiers: card?.tiers ?? [],
        // Data and folders say nothing of most requests: 0 is no price of theirs.
        requestPico: [card?.requestPico, beside.requestPico].find(Boolean),
        toolCallPico: { ...beside.toolCallPico, ...card?.toolCallPico },
      },
      contextWindow,
    };
  }

  /** Prices of a folder of ours are read as the data's are: those with a start date are those of today. */
  #own(ownPrices: ProviderDefinition['ownPrices'], upstreamModel: string): BookEntry | undefined {
    const prices = Object.hasOwn(ownPrices ?? {}, upstreamModel) ? ownPrices?.[upstreamModel] : undefined;
    if (prices === undefined) return undefined;
    const model = { id: upstreamModel, match: { equals: upstreamModel }, prices };
    return this.#entry(upstreamModel, {
      provider: { id: 'own', name: 'own', api_pattern: '', models: [model] },
    });
  }

  #entry(upstreamModel: string, where: PriceOptions): BookEntry | undefined {
    const entry = lookUp(upstreamModel, { ...where, timestamp: this.options.now });
    const card = entry && toCard(entry.prices);
    if (!entry || !card) return undefined;
    return { card: this.convert(card), contextWindow: entry.model.context_window };
  }

  /** US dollars -> BILLING_CURRENCY; a fraction of a pico-unit is rounded up. */
  private convert(card: PriceCard): PriceCard {
    if (this.#rate === RATE_SCALE) return card;
    const converted = (price: bigint): bigint => (price * this.#rate + RATE_SCALE - 1n) / RATE_SCALE;
    const all = (prices: TokenPrices): TokenPrices => ({
      ...prices,
      ...Object.fromEntries(Object.entries(prices).map(([key, price]) => [key, converted(price ?? 0n)])),
    });
    return {
      base: all(card.base),
      tiers: card.tiers.map((tier) => ({ ...tier, prices: all(tier.prices) })),
      requestPico: converted(card.requestPico),
      toolCallPico: Object.fromEntries(
        Object.entries(card.toolCallPico).map(([tool, price]) => [tool, converted(price)]),
      ),
    };
  }
}

/** The data's entry for a model. The price calculation is asked for no usage at all: it finds and dates the entry. */
function lookUp(model: string, where: PriceOptions): { model: ModelInfo; prices: ModelPrice } | undefined {
  const asked = where.provider?.id ?? where.providerId;
  try {
    const found = calcPrice({}, model, where);
    if (!found || found.provider.id !== asked || changesWithTheClock(found.model)) return undefined;
    return { model: found.model, prices: found.model_price };
  } catch {
    return undefined;
  }
}

function perCall(prices: Readonly<Record<string, string>>): Record<string, bigint> {
  const known = Object.entries(prices).map(([tool, price]) => [tool, parseDecimal(price, PER_CALL_DIGITS)!]);
  return Object.fromEntries(known) as Record<string, bigint>;
}

function changesWithTheClock(model: ModelInfo): boolean {
  return (
    Array.isArray(model.prices) && model.prices.some((price) => price.constraint?.type === 'time_of_date')
  );
}

/** `undefined` when input or output has no price, or when something is priced in a way that usage does not tell. */
function toCard(prices: ModelPrice): PriceCard | undefined {
  const tokens: [keyof TokenPrices, number | TieredPrices][] = [];
  const toolCallPico: Record<string, bigint> = {};
  let requestPico = 0n;
  for (const [key, price] of Object.entries(prices)) {
    if (price === undefined) continue;
    const category = TOKEN_KEYS.get(key);
    const tool = TOOL_KEYS.get(key);
    const perThousand = typeof price === 'number' ? exact(price, PER_THOUSAND_DIGITS) : undefined;
    if (category && isPrice(price)) tokens.push([category, price]);
    else if (tool && perThousand !== undefined) toolCallPico[tool] = perThousand;
    else if (key === REQUEST_KEY && perThousand !== undefined) requestPico = perThousand;
    else return undefined;
  }
  const base = pricesAt(tokens, 0);
  const tiers = startsOf(tokens).map((start) => ({
    aboveInputTokens: start,
    prices: pricesAt(tokens, start),
  }));
  if (!base || !tiers.every(isPriced)) return undefined;
  return { base, tiers, requestPico, toolCallPico };
}

/** A newer version of the data may say it otherwise. */
function isPrice(price: unknown): price is number | TieredPrices {
  if (typeof price === 'number') return true;
  if (typeof price !== 'object' || price === null) return false;
  return 'base' in price && 'tiers' in price && Array.isArray(price.tiers);
}

function isPriced(tier: { aboveInputTokens: number; prices: TokenPrices | undefined }): tier is PriceTier {
  return tier.prices !== undefined;
}

/** Every category has tiers of its own in the data; ours begin wherever one of theirs does. */
function startsOf(tokens: readonly [string, number | TieredPrices][]): number[] {
  const starts = tokens.flatMap(([, price]) =>
    typeof price === 'number' ? [] : price.tiers.map((tier) => tier.start),
  );
  return [...new Set(starts)].toSorted((left, right) => left - right);
}

/** The prices of a request with more than `start` input tokens; 0 = the base prices. */
function pricesAt(
  tokens: readonly [keyof TokenPrices, number | TieredPrices][],
  start: number,
): TokenPrices | undefined {
  const prices: { -readonly [Category in keyof TokenPrices]?: TokenPrices[Category] } = {};
  for (const [category, price] of tokens) {
    const pico = exact(typeof price === 'number' ? price : tierPrice(price, start), PER_MILLION_DIGITS);
    if (pico === undefined) return undefined;
    prices[category] = pico;
  }
  const { inputPico, outputPico, ...parts } = prices;
  if (inputPico === undefined || outputPico === undefined) return undefined;
  return { ...parts, inputPico, outputPico };
}

function tierPrice(price: TieredPrices, start: number): number {
  return (
    price.tiers
      .filter((tier) => start > 0 && tier.start <= start)
      .toSorted((left, right) => left.start - right.start)
      .at(-1)?.price ?? price.base
  );
}

/**
 * A number of the data -> an integer in units of 10^-`digits`.
 * JavaScript's shortest text of a double is the decimal that somebody wrote down: 0.0375 is "0.0375".
 */
function exact(price: number, digits: number): bigint | undefined {
  return parseDecimal(String(price), digits);
}
