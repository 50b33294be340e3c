import { isObject, type JsonObject } from './anthropic.wire.js';
import type { UnsupportedParams } from '../translation/unsupported-params.js';

/** What becomes of a top-level field of the client's request. */
type FieldRule =
  /** Read by a translator in this folder, or by the gateway itself. */
  | { readonly is: 'translated' }
  /** Anthropic's own field: passed on unchanged. */
  | { readonly is: 'native' }
  /** A hint, or for the client's bookkeeping: the answer is the same without it. */
  | { readonly is: 'without-effect' }
  /** Not supported, unless its value asks for nothing. */
  | { readonly is: 'refused'; readonly why: string; readonly asksForNothing?: (value: unknown) => boolean };

const TRANSLATED = { is: 'translated' } as const;
const NATIVE = { is: 'native' } as const;
const WITHOUT_EFFECT = { is: 'without-effect' } as const;

const UNKNOWN = 'is not known to Anthropic';
const PRICED_APART = 'changes what Anthropic charges, but the gateway has no price for it';

/**
 * Every field that we know. Any other is refused by name: otherwise neither the client nor Anthropic would notice that it was
 * lost.
 */
const FIELDS = {
  model: TRANSLATED,
  messages: TRANSLATED,
  stream: TRANSLATED,
  stream_options: TRANSLATED,
  max_tokens: TRANSLATED,
  max_completion_tokens: TRANSLATED,
  temperature: TRANSLATED,
  top_p: TRANSLATED,
  top_k: TRANSLATED,
  stop: TRANSLATED,
  tools: TRANSLATED,
  tool_choice: TRANSLATED,
  parallel_tool_calls: TRANSLATED,
  functions: TRANSLATED,
  function_call: TRANSLATED,
  web_search_options: TRANSLATED,
  response_format: TRANSLATED,
  reasoning_effort: TRANSLATED,
  user: TRANSLATED,
  safety_identifier: TRANSLATED,
  /** Anthropic reads only `user_id`. Other keys label stored completions, which Anthropic does not have. */
  metadata: TRANSLATED,
  service_tier: TRANSLATED,
  betas: TRANSLATED,

  thinking: NATIVE,
  output_config: NATIVE,
  /** The beta name of `output_config.format`. */
  output_format: NATIVE,
  cache_control: NATIVE,
  container: NATIVE,
  context_management: NATIVE,
  compaction: NATIVE,
  diagnostics: NATIVE,
  mcp_servers: NATIVE,

  /** Control OpenAI's cache; Anthropic's needs no hints. */
  prompt_cache_key: WITHOUT_EFFECT,
  prompt_cache_options: WITHOUT_EFFECT,
  prompt_cache_retention: WITHOUT_EFFECT,

  store: {
    is: 'refused',
    why: 'requests a stored completion, which Anthropic does not have',
    asksForNothing: isFalse,
  },
  n: {
    is: 'refused',
    why: 'must be 1: Anthropic returns one choice',
    asksForNothing: (value) => value === 1,
  },
  seed: { is: 'refused', why: 'has no counterpart at Anthropic' },
  logprobs: { is: 'refused', why: 'are not available from Anthropic', asksForNothing: isFalse },
  top_logprobs: { is: 'refused', why: 'are not available from Anthropic', asksForNothing: isZero },
  logit_bias: { is: 'refused', why: 'has no counterpart at Anthropic', asksForNothing: isEmpty },
  frequency_penalty: { is: 'refused', why: 'has no counterpart at Anthropic', asksForNothing: isZero },
  presence_penalty: { is: 'refused', why: 'has no counterpart at Anthropic', asksForNothing: isZero },
  modalities: { is: 'refused', why: 'must be ["text"] for Anthropic', asksForNothing: isTextOnly },
  audio: { is: 'refused', why: 'is not available from Anthropic' },
  prediction: { is: 'refused', why: 'has no counterpart at Anthropic' },
  verbosity: {
    is: 'refused',
    why: 'has no counterpart at Anthropic',
    asksForNothing: (value) => value === 'medium',
  },
  moderation: { is: 'refused', why: UNKNOWN },

  speed: { is: 'refused', why: PRICED_APART, asksForNothing: (value) => value === 'standard' },
  inference_geo: { is: 'refused', why: PRICED_APART, asksForNothing: (value) => value === 'global' },
  fallbacks: { is: 'refused', why: PRICED_APART, asksForNothing: isEmpty },
  fallback_credit_token: { is: 'refused', why: PRICED_APART },
  billing_policy: { is: 'refused', why: PRICED_APART },
} as const satisfies Record<string, FieldRule>;

const RULES: Readonly<Record<string, FieldRule>> = FIELDS;

/**
 * Returns Anthropic's own fields of the request, and refuses those that are not supported. `null` and `undefined` mean "not
 * set", as at OpenAI.
 */
export function nativeFields(request: JsonObject, unsupported: UnsupportedParams): JsonObject {
  const native: JsonObject = {};
  for (const [name, value] of Object.entries(request)) {
    if (value === undefined || value === null) continue;
    const rule: FieldRule = Object.hasOwn(RULES, name)
      ? (RULES[name] ?? TRANSLATED)
      : { is: 'refused', why: UNKNOWN };
    if (rule.is === 'native') native[name] = value;
    if (rule.is === 'refused' && !rule.asksForNothing?.(value)) unsupported.refuse(name, rule.why);
  }
  return native;
}

function isFalse(value: unknown): boolean {
  return value === false;
}

function isZero(value: unknown): boolean {
  return value === 0;
}

function isEmpty(value: unknown): boolean {
  return Array.isArray(value) ? value.length === 0 : isObject(value) && Object.keys(value).length === 0;
}

function isTextOnly(value: unknown): boolean {
  return Array.isArray(value) && value.every((modality) => modality === 'text');
}
