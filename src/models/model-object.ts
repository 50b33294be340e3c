import { createHash } from 'node:crypto';
import { type PriceCard, type TokenPrices } from '@app/money';
import { formatDecimal } from '../config/parse-decimal.js';
import type { CatalogModel } from './catalog.js';
import type { ModelObject, ModelPermission, ModelPricing } from './model-object.dto.js';

/** A catalogue model -> the object of the model list. Limits and prices are those of the target that serves it first. */
export function toModelObject(model: CatalogModel, currency: string): ModelObject {
  const target = model.targets.find((candidate) => candidate.weight > 0) ?? model.targets[0];
  return {
    id: model.id,
    object: 'model',
    created: model.created,
    owned_by: model.ownedBy,
    permission: [permission(model)],
    root: model.root,
    parent: null,
    ...(target && {
      provider: target.provider,
      context_window: target.contextWindow,
      max_output_tokens: target.maxOutputTokens,
      capabilities: {
        tools: target.capabilities.tools,
        vision: target.capabilities.vision,
        documents: target.capabilities.documents,
        audio_input: target.capabilities.audioInput,
        json_schema: target.capabilities.jsonSchema,
        reasoning: target.capabilities.reasoning,
      },
      pricing: pricing(target.price, currency),
    }),
  };
}

/** OpenAI's old permission object, which clients of the time read. */
function permission(model: CatalogModel): ModelPermission {
  return {
    id: `modelperm-${createHash('sha256').update(model.id).digest('hex').slice(0, 24)}`,
    object: 'model_permission',
    created: model.created,
    allow_create_engine: false,
    allow_sampling: true,
    allow_logprobs: true,
    allow_search_indices: false,
    allow_view: true,
    allow_fine_tuning: false,
    organization: '*',
    group: null,
    is_blocking: false,
  };
}

const PRICE_NAMES = {
  inputPico: 'input_per_million',
  outputPico: 'output_per_million',
  cacheReadPico: 'cached_input_per_million',
  cacheWritePico: 'cache_write_per_million',
  cacheWrite1hPico: 'cache_write_1h_per_million',
  audioInputPico: 'audio_input_per_million',
  cacheReadAudioPico: 'cached_audio_input_per_million',
  audioOutputPico: 'audio_output_per_million',
  imageInputPico: 'image_input_per_million',
  imageOutputPico: 'image_output_per_million',
} as const satisfies Record<keyof TokenPrices, string>;

function pricing(card: PriceCard, currency: string): ModelPricing {
  const tools = Object.entries(card.toolCallPico).map(([tool, price]) => [tool, perCallText(price)] as const);
  return {
    currency,
    ...perMillion(card.base),
    ...(card.requestPico > 0n && { per_request: perCallText(card.requestPico) }),
    ...(tools.length > 0 && { tool_calls: Object.fromEntries(tools) }),
    ...(card.tiers.length > 0 && {
      tiers: card.tiers.map((tier) => ({
        above_input_tokens: tier.aboveInputTokens,
        ...perMillion(tier.prices),
      })),
    }),
  };
}

/** Pico-units per token are millionths of a unit per million tokens. */
const perMillionText = (price: bigint): string => formatDecimal(price, 6);
const perCallText = (price: bigint): string => formatDecimal(price, 12);

function perMillion(
  prices: TokenPrices,
): { input_per_million: string; output_per_million: string } & Record<string, string> {
  const named = Object.entries(PRICE_NAMES).flatMap(([key, name]) => {
    const price = Reflect.get(prices, key) as bigint | undefined;
    return price === undefined ? [] : [[name, perMillionText(price)] as const];
  });
  return {
    input_per_million: perMillionText(prices.inputPico),
    output_per_million: perMillionText(prices.outputPico),
    ...Object.fromEntries(named),
  };
}
