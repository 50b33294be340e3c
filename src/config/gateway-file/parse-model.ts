import type { ModelCapabilities } from '@app/contracts';
import type { GatewayModel, GatewayTarget } from '../gateway-config.js';
import { type ConfigNode, printable } from './config-node.js';
import { parsePrice } from './parse-price.js';

/** Names of models: what vendors use, nothing that could mean something in an address or a log line. */
export const MODEL_NAME = /^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}$/;
const MODEL_PATTERN = /^([A-Za-z0-9][A-Za-z0-9._:/@+-]{0,198})\*$/;
const TARGET_PATTERN = /^[A-Za-z0-9._:/@+-]{0,199}\*$/;
const MAX_TARGETS = 50;
const MAX_FALLBACKS = 20;
const MAX_TOKENS = 100_000_000;
const DEFAULT_WEIGHT = 1;

const CAPABILITY_KEYS = {
  tools: 'tools',
  vision: 'vision',
  documents: 'documents',
  audio_input: 'audioInput',
  json_schema: 'jsonSchema',
  reasoning: 'reasoning',
} as const satisfies Record<string, keyof ModelCapabilities>;

type CapabilityKey = keyof typeof CAPABILITY_KEYS;

const capabilityKeys = Object.keys(CAPABILITY_KEYS).filter(
  (key): key is CapabilityKey => key in CAPABILITY_KEYS,
);

export function isWildcard(name: string): boolean {
  return name.endsWith('*');
}

/** What a model's entry may refer to. */
export interface KnownNames {
  readonly providers: ReadonlySet<string>;
  readonly builtInModels: ReadonlySet<string>;
}

/** One entry of `models:`. Fallbacks are checked later, when every model is known. */
export function parseModel(id: string, node: ConfigNode, known: KnownNames): GatewayModel | undefined {
  const field = node.fields([
    'targets',
    'fallbacks',
    'price',
    'context_window',
    'max_output_tokens',
    'capabilities',
    'owned_by',
    'cache',
  ]);
  const wildcard = isWildcard(id);
  if (!(wildcard ? MODEL_PATTERN : MODEL_NAME).test(id)) {
    return node.fault(
      'must consist of letters, digits and ._:/@+- (a `*` only at the end, after something else)',
    );
  }
  const needsTargets = wildcard || !known.builtInModels.has(id);
  if (needsTargets && !field('targets').isSet)
    field('targets').fault('is required: no built-in model has this name');
  const price = field('price').isSet ? parsePrice(field('price')) : undefined;
  const targets = field('targets').isSet ? parseTargets(field('targets'), wildcard, known) : undefined;
  // A block with faults has told them.
  const isFaulty = field('price').isSet && price === undefined;
  if (wildcard && !isFaulty && !price?.base && targets?.some((target) => !target.price?.base)) {
    field('price').fault('is required for a wildcard, with input_per_million and output_per_million');
  }
  return checkLimits(field, {
    id,
    targets,
    price,
    fallbacks: field('fallbacks').isSet ? parseFallbacks(field('fallbacks')) : undefined,
    contextWindow: tokens(field('context_window')),
    maxOutputTokens: tokens(field('max_output_tokens')),
    capabilities: parseCapabilities(field('capabilities')),
    ownedBy: field('owned_by').isSet
      ? field('owned_by').text(/^[\x20-\x7e]{1,100}$/, 'a short name')
      : undefined,
    cache: field('cache').isSet ? parseCache(field('cache')) : undefined,
  });
}

function checkLimits(field: (key: 'max_output_tokens') => ConfigNode, model: GatewayModel): GatewayModel {
  const { contextWindow = MAX_TOKENS, maxOutputTokens = 0 } = model;
  if (maxOutputTokens > contextWindow)
    field('max_output_tokens').fault('must not be larger than context_window');
  return model;
}

function tokens(node: ConfigNode): number | undefined {
  return node.isSet ? node.wholeNumber(1, MAX_TOKENS) : undefined;
}

function parseTargets(node: ConfigNode, wildcard: boolean, known: KnownNames): GatewayTarget[] | undefined {
  const targets: GatewayTarget[] = [];
  for (const item of node.items(MAX_TARGETS) ?? []) {
    const target = parseTarget(item, wildcard, known);
    if (!target) continue;
    if (
      targets.some(
        (other) => other.provider === target.provider && other.upstreamModel === target.upstreamModel,
      )
    ) {
      item.fault('is the same target as one before it; give one of them more weight instead');
    }
    targets.push(target);
  }
  if (targets.length > 0 && targets.every((target) => target.weight === 0)) {
    node.fault('needs a target with a weight above 0');
  }
  return targets;
}

function parseTarget(node: ConfigNode, wildcard: boolean, known: KnownNames): GatewayTarget | undefined {
  const field = node.fields(['provider', 'model', 'weight', 'price']);
  const provider = field('provider').text(/./, 'the name of a provider');
  if (provider !== undefined && !known.providers.has(provider)) {
    field('provider').fault(`no such provider (known: ${[...known.providers].map(printable).join(', ')})`);
  }
  const upstreamModel = wildcard
    ? field('model').text(TARGET_PATTERN, "the provider's name with `*` at its end")
    : field('model').text(MODEL_NAME, "the provider's name of the model");
  const weight = field('weight').isSet ? field('weight').wholeNumber(0, 1_000_000) : DEFAULT_WEIGHT;
  const price = field('price').isSet ? parsePrice(field('price')) : undefined;
  if (provider === undefined || upstreamModel === undefined || weight === undefined) return undefined;
  return { provider, upstreamModel, weight, price };
}

function parseFallbacks(node: ConfigNode): string[] {
  const names: string[] = [];
  if (Array.isArray(node.value) && node.value.length === 0) return names;
  for (const item of node.items(MAX_FALLBACKS) ?? []) {
    const name = item.text(MODEL_NAME, 'the name of a model');
    if (name === undefined) continue;
    if (names.includes(name)) item.fault('is named twice');
    else names.push(name);
  }
  return names;
}

function parseCapabilities(node: ConfigNode): Partial<ModelCapabilities> {
  const field = node.fields(capabilityKeys);
  const capabilities: Partial<ModelCapabilities> = {};
  for (const key of capabilityKeys) {
    const value = field(key).isSet ? field(key).flag() : undefined;
    if (value !== undefined) capabilities[CAPABILITY_KEYS[key]] = value;
  }
  return capabilities;
}

function parseCache(node: ConfigNode): { ttlMs: number } | undefined {
  const ttlMs = node
    .fields(['ttl_seconds'])('ttl_seconds')
    .seconds(1, 30 * 86_400);
  return ttlMs === undefined ? undefined : { ttlMs };
}
