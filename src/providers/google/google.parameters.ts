import type { ChatRequest } from '@app/contracts';
import { toGeminiSchema } from './google.schema.js';
import { toThinkingConfig } from './google.thinking.js';
import { takesPenalties } from './google.traits.js';
import { invalidBody, type UnsupportedParams } from '../translation/unsupported-params.js';
import { isObject, type JsonObject, text, toCamelCase } from './google.wire.js';

/** The result of the parameters of a request: fields of `generationConfig`, and of the body beside it. */
export interface ParameterDraft {
  readonly generation: JsonObject;
  readonly body: JsonObject;
  readonly model: string;
  readonly unsupported: UnsupportedParams;
}

type Apply = (value: unknown, draft: ParameterDraft, param: string, request: ChatRequest) => void;

/** Fields that are read elsewhere: messages, tools, the output limit. */
const READ_ELSEWHERE = new Set([
  'model',
  'messages',
  'stream',
  'stream_options',
  'max_tokens',
  'max_completion_tokens',
  'tools',
  'tool_choice',
  'parallel_tool_calls',
  'functions',
  'function_call',
  'web_search_options',
]);

/** Identify the user to OpenAI or control its cache: they do not influence the answer. */
const WITHOUT_INFLUENCE = new Set([
  'user',
  'metadata',
  'safety_identifier',
  'prompt_cache_key',
  'prompt_cache_options',
  'prompt_cache_retention',
]);

/**
 * OpenAI's parameters, each with its translation; the README has the same table for readers. A field that is neither here nor among
 * Gemini's own (below) is refused by name.
 */
const PARAMETERS: Readonly<Record<string, Apply>> = {
  temperature: generation('temperature'),
  top_p: generation('topP'),
  seed: generation('seed'),
  frequency_penalty: penalty('frequencyPenalty'),
  presence_penalty: penalty('presencePenalty'),
  n: generationUnless(1, 'candidateCount'),
  stop: (value, { generation }) => {
    generation.stopSequences = Array.isArray(value) ? value : [value];
  },
  logprobs: (value, { generation }) => {
    if (value === true) generation.responseLogprobs = true;
  },
  top_logprobs: (value, { generation }, param, request) => {
    if (value === 0) return;
    if (request.logprobs !== true) throw invalidBody(param, 'needs logprobs to be true');
    generation.logprobs = value;
  },
  response_format: applyResponseFormat,
  modalities: (value, { generation }, param) => {
    const names = Array.isArray(value) ? value.map(text) : [];
    if (names.length === 0 || names.includes(undefined)) throw invalidBody(param, 'must be a list of names');
    generation.responseModalities = names.map((name) => name?.toUpperCase());
  },
  reasoning_effort: applyEffort,
  store: acceptOnly(false),
  service_tier: acceptOnly('auto', 'default'),
  verbosity: acceptOnly('medium'),
  logit_bias: (value, { unsupported }, param) => {
    if (!isObject(value) || Object.keys(value).length > 0) unsupported.refuse(param);
  },
};

/** Gemini's own fields, accepted at the top level, in `generation_config` and in `extra_body.google`, in either spelling. */
const OWN_GENERATION_FIELDS = new Set([
  'temperature',
  'topP',
  'topK',
  'seed',
  'presencePenalty',
  'frequencyPenalty',
  'responseLogprobs',
  'logprobs',
  'thinkingConfig',
  'mediaResolution',
  'speechConfig',
  'imageConfig',
  'audioTimestamp',
  'audioTranscriptionConfig',
  'enableAffectiveDialog',
  'enableEnhancedCivicAnswers',
  'modelSelectionConfig',
  'routingConfig',
  'responseModalities',
  'responseMimeType',
  'responseSchema',
  'responseJsonSchema',
  'stopSequences',
  'translationConfig',
]);
const OWN_BODY_FIELDS = new Set([
  'safetySettings',
  'cachedContent',
  'labels',
  'modelArmorConfig',
  'continuationToken',
]);

/**
 * All parameters of a request -> the draft. OpenAI's are applied first, so that Gemini's own take precedence.
 *
 * @throws GatewayError  `unsupported_parameter` for what Gemini does not support, and for unknown fields
 */
export function applyParameters(request: ChatRequest, draft: ParameterDraft): void {
  const own: [string, unknown][] = [];
  for (const [key, value] of Object.entries(request)) {
    if (value === null || value === undefined || READ_ELSEWHERE.has(key) || WITHOUT_INFLUENCE.has(key))
      continue;
    const apply = Object.hasOwn(PARAMETERS, key) ? PARAMETERS[key] : undefined;
    if (apply) apply(value, draft, key, request);
    else own.push([key, value]);
  }
  for (const [key, value] of own) {
    if (key === 'extra_body') applyExtraBody(value, draft);
    else applyOwnField(key, value, draft, key);
  }
}

function generation(name: string): Apply {
  return (value, draft) => {
    draft.generation[name] = value;
  };
}

/** For fields whose neutral value some models refuse. */
function generationUnless(neutral: unknown, name: string): Apply {
  return (value, draft) => {
    if (value !== neutral) draft.generation[name] = value;
  };
}

function penalty(name: string): Apply {
  return (value, { generation, model, unsupported }, param) => {
    if (value === 0) return;
    if (takesPenalties(model)) generation[name] = value;
    else unsupported.refuse(param, 'is not accepted by this model');
  };
}

function acceptOnly(...values: readonly unknown[]): Apply {
  return (value, { unsupported }, param) => {
    if (!values.includes(value))
      unsupported.refuse(param, `${JSON.stringify(value)} is not supported by Google Gemini`);
  };
}

function applyResponseFormat(
  value: unknown,
  { generation: config, unsupported }: ParameterDraft,
  param: string,
): void {
  const format: JsonObject = isObject(value) ? value : {};
  if (format.type === 'text') return;
  if (format.type !== 'json_object' && format.type !== 'json_schema') {
    return unsupported.refuse(`${param}.type`);
  }
  config.responseMimeType = 'application/json';
  const schema = format.type === 'json_schema' ? schemaOf(format.json_schema) : undefined;
  if (schema) config.responseJsonSchema = schema;
}

/** The description of the format becomes that of the schema, unless it has one. Name and `strict` have no counterpart. */
function schemaOf(value: unknown): JsonObject | undefined {
  const named: JsonObject = isObject(value) ? value : {};
  if (!isObject(named.schema)) return undefined;
  const description = text(named.description);
  return toGeminiSchema(description ? { description, ...named.schema } : named.schema);
}

function applyEffort(value: unknown, draft: ParameterDraft, param: string): void {
  const config = toThinkingConfig(String(value), draft.model);
  if (typeof config === 'string') draft.unsupported.refuse(param, config);
  else if (Object.keys(config).length > 0) draft.generation.thinkingConfig = config;
}

/** `{"google": {…}}`, as Google's own OpenAI-compatible endpoint accepts it. */
function applyExtraBody(value: unknown, draft: ParameterDraft): void {
  if (!isObject(value)) return draft.unsupported.refuse('extra_body');
  for (const [key, fields] of Object.entries(value)) {
    if (key !== 'google' || !isObject(fields)) draft.unsupported.refuse(`extra_body.${key}`);
    else applyOwnFields(fields, draft, 'extra_body.google');
  }
}

function applyOwnFields(fields: JsonObject, draft: ParameterDraft, path: string): void {
  for (const [key, value] of Object.entries(fields)) {
    if (value !== null && value !== undefined) applyOwnField(key, value, draft, `${path}.${key}`);
  }
}

function applyOwnField(key: string, value: unknown, draft: ParameterDraft, param: string): void {
  const name = toCamelCase(key);
  if (asksForNothing(name, value)) return;
  if (name === 'generationConfig' && isObject(value)) applyGenerationConfig(value, draft, param);
  else if (name === 'toolConfig' && isObject(value)) applyToolConfig(value, draft, param);
  else if (OWN_GENERATION_FIELDS.has(name)) draft.generation[name] = value;
  else if (OWN_BODY_FIELDS.has(name)) draft.body[name] = value;
  else draft.unsupported.refuse(param);
}

/** Everything passes here, even unknown fields, except what determines the price of the answer. */
function applyGenerationConfig(config: JsonObject, draft: ParameterDraft, param: string): void {
  for (const [key, value] of Object.entries(config)) {
    const name = toCamelCase(key);
    if (value === null || value === undefined || asksForNothing(name, value)) continue;
    if (name === 'candidateCount') draft.unsupported.refuse(`${param}.${key}`, 'is not accepted here: use n');
    else if (name === 'maxOutputTokens') limitOutput(draft.generation, Number(value));
    else draft.generation[name] = value;
  }
}

/** The default values. */
function asksForNothing(name: string, value: unknown): boolean {
  return (name === 'candidateCount' && value === 1) || (name === 'serviceTier' && value === 'standard');
}

/** Lowers the output limit, but never raises it: money is held for the gateway's own limit. */
export function limitOutput(config: JsonObject, tokens: number): void {
  if (!Number.isSafeInteger(tokens) || tokens < 1)
    throw invalidBody('generation_config.max_output_tokens', 'must be a whole number above 0');
  const current = config.maxOutputTokens;
  config.maxOutputTokens = typeof current === 'number' ? Math.min(current, tokens) : tokens;
}

function applyToolConfig(config: JsonObject, draft: ParameterDraft, param: string): void {
  const fields = Object.fromEntries(Object.entries(config).map(([key, value]) => [toCamelCase(key), value]));
  const calling = fields.functionCallingConfig;
  const streams =
    isObject(calling) && (calling.streamFunctionCallArguments ?? calling.stream_function_call_arguments);
  if (streams) draft.unsupported.refuse(`${param}.function_calling_config.stream_function_call_arguments`);
  else draft.body.toolConfig = fields;
}
