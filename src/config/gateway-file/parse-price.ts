import { pricedToolName, type PriceTier, type TokenPrices } from '@app/money';
import type { GatewayPrice } from '../gateway-config.js';
import { parseDecimal } from '../parse-decimal.js';
import type { ConfigNode } from './config-node.js';

/** Our field of `TokenPrices` by the file's key. */
const TOKEN_PRICE_KEYS = {
  input_per_million: 'inputPico',
  output_per_million: 'outputPico',
  cached_input_per_million: 'cacheReadPico',
  cache_write_per_million: 'cacheWritePico',
  cache_write_1h_per_million: 'cacheWrite1hPico',
  audio_input_per_million: 'audioInputPico',
  cached_audio_input_per_million: 'cacheReadAudioPico',
  audio_output_per_million: 'audioOutputPico',
  image_input_per_million: 'imageInputPico',
  image_output_per_million: 'imageOutputPico',
} as const satisfies Record<string, keyof TokenPrices>;

type TokenPriceKey = keyof typeof TOKEN_PRICE_KEYS;

const tokenPriceKeys = Object.keys(TOKEN_PRICE_KEYS).filter(
  (key): key is TokenPriceKey => key in TOKEN_PRICE_KEYS,
);

const MAX_TIERS = 20;
const MAX_TOOLS = 50;

/** Per million tokens: six fraction digits are one pico-unit per token, the smallest price there is. */
const PER_MILLION_DIGITS = 6;
const PER_CALL_DIGITS = 12;

/**
 * A `price:` block. Input and output must be named, so that nothing is charged by accident at zero, unless all that is named
 * stands beside tokens.
 */
export function parsePrice(node: ConfigNode): GatewayPrice | undefined {
  const field = node.fields([...tokenPriceKeys, 'per_request', 'tool_calls', 'tiers']);
  const prices = tokenPrices(field);
  const namesTokens = ([...tokenPriceKeys, 'tiers'] as const).some((key) => field(key).isSet);
  const isAddition = !namesTokens && (field('per_request').isSet || field('tool_calls').isSet);
  for (const key of ['input_per_million', 'output_per_million'] as const) {
    if (!isAddition && !field(key).isSet) field(key).fault('is required');
  }
  const tiers = field('tiers').isSet ? parseTiers(field('tiers'), prices) : [];
  const requestPico = field('per_request').isSet ? amount(field('per_request'), PER_CALL_DIGITS) : undefined;
  const toolCallPico = parseToolCalls(field('tool_calls'));
  const { inputPico, outputPico } = prices;
  if (isAddition) return { base: undefined, tiers: [], requestPico, toolCallPico };
  if (inputPico === undefined || outputPico === undefined || !tiers) return undefined;
  return { base: { ...prices, inputPico, outputPico }, tiers, requestPico, toolCallPico };
}

function tokenPrices(field: (key: TokenPriceKey) => ConfigNode): Partial<TokenPrices> {
  const prices: { -readonly [Key in keyof TokenPrices]?: TokenPrices[Key] } = {};
  for (const key of tokenPriceKeys) {
    if (field(key).isSet) prices[TOKEN_PRICE_KEYS[key]] = perMillion(field(key));
  }
  return prices;
}

/** Categories that a tier does not name keep the base price. */
function parseTiers(node: ConfigNode, base: Partial<TokenPrices>): PriceTier[] | undefined {
  const tiers: PriceTier[] = [];
  for (const item of node.items(MAX_TIERS) ?? []) {
    const field = item.fields([...tokenPriceKeys, 'above_input_tokens']);
    const aboveInputTokens = field('above_input_tokens').wholeNumber(1, 1_000_000_000);
    const { inputPico, outputPico, ...others } = { ...base, ...tokenPrices(field) };
    if (aboveInputTokens === undefined || inputPico === undefined || outputPico === undefined) continue;
    if (aboveInputTokens <= (tiers.at(-1)?.aboveInputTokens ?? 0)) {
      field('above_input_tokens').fault('must be larger than that of the tier before it');
    }
    tiers.push({ aboveInputTokens, prices: { ...others, inputPico, outputPico } });
  }
  return tiers;
}

function parseToolCalls(node: ConfigNode): Record<string, bigint> {
  const prices: Record<string, bigint> = {};
  for (const [tool, item] of node.entries(MAX_TOOLS)) {
    const price = amount(item, PER_CALL_DIGITS);
    if (!/^[a-z][a-z0-9_]{0,63}$/.test(tool)) item.fault('is not the name of a tool');
    else if (pricedToolName(tool) !== tool)
      item.fault(`is called ${pricedToolName(tool)} here, for every vendor`);
    else if (price !== undefined) prices[tool] = price;
  }
  return prices;
}

/** Below that of any model, in whatever currency: somebody wrote down the price of one token. */
const LEAST_PICO = 100n;

function perMillion(node: ConfigNode): bigint | undefined {
  const price = amount(node, PER_MILLION_DIGITS, ': what a million tokens cost');
  if (price === undefined || price === 0n || price >= LEAST_PICO) return price;
  return node.fault('must be the price of a million tokens: no model is that cheap');
}

function amount(node: ConfigNode, fractionDigits: number, what = ''): bigint | undefined {
  const isPlain = typeof node.value === 'string' && /^\d{1,9}(\.\d+)?$/.test(node.value);
  const parsed = isPlain ? parseDecimal(String(node.value), fractionDigits) : undefined;
  return (
    parsed ??
    node.fault(
      `must be a decimal such as "0.15", not negative, with at most ${fractionDigits} fraction digits${what}`,
    )
  );
}
