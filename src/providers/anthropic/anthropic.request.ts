import { hash } from 'node:crypto';
import type { ChatRequest, ProviderCall } from '@app/contracts';
import { ExactJsonParser } from '../../text/exact-json.js';
import { type AskedFormat, toAnswerTool } from './anthropic.answer-tool.js';
import type { ContentContext } from './anthropic.content.js';
import {
  type Conversation,
  hasThoughts,
  isThoughtlessTurn,
  toConversation,
} from './anthropic.conversation.js';
import { nativeFields } from './anthropic.fields.js';
import { ToolUseIds } from './anthropic.ids.js';
import { maxOutputTokensOf } from './anthropic.models.js';
import { type Reasoning, toReasoning } from './anthropic.reasoning.js';
import { toSamplingFields } from './anthropic.sampling.js';
import { toEnforceableSchema } from './anthropic.schema.js';
import { forcesTool, toToolFields, usesLegacyFunctions } from './anthropic.tools.js';
import { type ModelTraits, traitsOf } from './anthropic.traits.js';
import { invalidBody, UnsupportedParams } from '../translation/unsupported-params.js';
import { isObject, type JsonObject, textOf, type WireBlock, type WireRequest } from './anthropic.wire.js';

export interface TranslatedRequest {
  readonly body: WireRequest;
  /** For the header `anthropic-beta`. */
  readonly betas: readonly string[];
  readonly droppedParams: readonly string[];
  readonly legacyFunctions: boolean;
  readonly answersByTool: boolean;
}

type TranslatableCall = Pick<
  ProviderCall,
  'request' | 'upstreamModel' | 'maxOutputTokens' | 'dropUnsupported'
>;

/**
 * OpenAI's request -> the body of `POST /v1/messages`.
 *
 * @throws GatewayError  `unsupported_parameter` (unless dropped), `invalid_body`; always with `param`
 */
export function toAnthropicRequest(call: TranslatableCall, stream: boolean): TranslatedRequest {
  const { request, upstreamModel } = call;
  const unsupported = new UnsupportedParams(call.dropUnsupported);
  const betas = new Set(givenBetas(request));
  const traits = traitsOf(upstreamModel);
  const context: ContentContext = {
    traits,
    unsupported,
    betas,
    exactJson: new ExactJsonParser(),
    toolUseIds: new ToolUseIds(),
  };
  const maxTokens = call.maxOutputTokens ?? maxOutputTokensOf(upstreamModel);
  const native = nativeFields(request, unsupported);
  const tools = toToolFields(request, traits, unsupported);
  const conversation = toConversation(request.messages, context);
  const limits = {
    maxTokens,
    forcesTool: forcesTool(tools),
    inThoughtlessTurn: isThoughtlessTurn(conversation.messages),
  };
  const reasoning = toReasoning(request, traits, limits, unsupported);
  const format = askedFormat(request);
  const beside = { tools, thinking: native.thinking ?? reasoning.thinking, mcpServers: native.mcp_servers };
  const answerTool =
    format && !traits.structuredOutputs ? toAnswerTool(format, traits, beside, unsupported) : undefined;
  const body: WireRequest = {
    model: upstreamModel,
    max_tokens: maxTokens,
    ...systemField(conversation, request),
    messages: conversation.messages,
    ...(answerTool ?? tools),
    ...toSamplingFields(request, traits, reasoning.thinking !== undefined, unsupported),
    ...accountFields(request, unsupported),
    ...thinkingField(conversation, reasoning, traits),
    ...native,
    ...outputConfig(traits.structuredOutputs ? format : undefined, native, reasoning),
    ...(stream && { stream: true as const }),
  };
  addNativeBetas(body, betas);
  return {
    body,
    betas: [...betas],
    droppedParams: unsupported.dropped,
    legacyFunctions: usesLegacyFunctions(request),
    answersByTool: answerTool !== undefined,
  };
}

function givenBetas(request: ChatRequest): string[] {
  return Array.isArray(request.betas) ? request.betas.filter((beta) => isBetaName(beta)) : [];
}

/** The names become a header: nothing else may get into it. */
function isBetaName(value: unknown): value is string {
  return typeof value === 'string' && /^[\w.-]+$/.test(value);
}

/**
 * A thinking block that no longer matches what came before it would end the conversation: every request that sends it back is
 * answered with 400, and clients of the OpenAI form change their system message or tools freely. With this, Anthropic drops such
 * blocks instead, and the answer names them (`input_transformations`).
 */
const LENIENT = { block_binding: { prefix_mismatch_behavior: 'drop_block' } } as const;

function thinkingField(
  { messages }: Conversation,
  { thinking }: Reasoning,
  { bindsThoughts }: ModelTraits,
): JsonObject {
  const { type } = thinking ?? { type: 'adaptive' };
  const isBound = bindsThoughts && type === 'adaptive' && hasThoughts(messages);
  if (isBound) return { thinking: { type, ...thinking, ...LENIENT } };
  return thinking ? { thinking } : {};
}

/** Fields in beta, each with its beta header. A client's own choice of version takes precedence. */
const NATIVE_BETAS: Readonly<Record<string, string>> = Object.freeze({
  output_format: 'structured-outputs-2025-11-13',
  mcp_servers: 'mcp-client-2025-04-04',
  context_management: 'context-management-2025-06-27',
});

/** Since this version, the allowed tools of an MCP server are an entry in `tools`; before, a field of the server. */
const MCP_TOOLSET_BETA = 'mcp-client-2025-11-20';

function addNativeBetas(body: JsonObject, betas: Set<string>): void {
  for (const beta of nativeBetas(body)) {
    const family = beta.replace(/-\d{4}-\d{2}-\d{2}$/, '');
    if (![...betas].some((name) => name.startsWith(family))) betas.add(beta);
  }
}

const BINDING_BETA = 'thinking-binding-controls-2026-08-01';

/** Of several versions of one beta, the first one counts. */
function nativeBetas(body: JsonObject): string[] {
  const tools: unknown[] = Array.isArray(body.tools) ? body.tools : [];
  const hasToolset = tools.some((tool) => isObject(tool) && tool.type === 'mcp_toolset');
  const ofFields = Object.entries(NATIVE_BETAS).filter(([field]) => body[field] !== undefined);
  const isBound = isObject(body.thinking) && isObject(body.thinking.block_binding);
  return [
    ...(hasToolset ? [MCP_TOOLSET_BETA] : []),
    ...(isBound ? [BINDING_BETA] : []),
    ...ofFields.map(([, beta]) => beta),
  ];
}

const JSON_ONLY = 'Answer with one valid JSON object and nothing else: no prose around it, no code fence.';

function systemField(conversation: Conversation, request: ChatRequest): { system?: WireBlock[] } {
  // Anthropic has no mode for "any JSON object"; its documentation recommends an instruction.
  const json = request.response_format?.type === 'json_object' ? [{ type: 'text', text: JSON_ONLY }] : [];
  const system = [...conversation.system, ...json];
  return system.length > 0 ? { system } : {};
}

/** `response_format` and `reasoning_effort` share this field with the client's own `output_config`. */
function outputConfig(asked: AskedFormat | undefined, native: JsonObject, reasoning: Reasoning): JsonObject {
  const config = {
    ...(reasoning.effort && { effort: reasoning.effort }),
    ...(asked && { format: { type: 'json_schema', schema: toEnforceableSchema(describedSchema(asked)) } }),
    ...(isObject(native.output_config) ? native.output_config : {}),
  };
  return Object.keys(config).length > 0 ? { output_config: config } : {};
}

/** `undefined` for types without a schema. */
function askedFormat(request: ChatRequest): AskedFormat | undefined {
  const format: JsonObject | null | undefined = request.response_format;
  const type = textOf(format?.type);
  if (!format || type === 'text' || type === 'json_object') return undefined;
  if (type !== 'json_schema')
    throw invalidBody('response_format.type', 'must be text, json_object or json_schema');
  if (!isObject(format.json_schema) || !isObject(format.json_schema.schema)) {
    throw invalidBody('response_format.json_schema.schema', 'must be a JSON Schema object');
  }
  const { schema, description } = format.json_schema;
  return { schema, description: textOf(description) };
}

function describedSchema({ schema, description }: AskedFormat): JsonObject {
  return description !== '' && schema.description === undefined ? { ...schema, description } : schema;
}

const SERVICE_TIERS: Readonly<Record<string, string>> = Object.freeze({
  auto: 'auto',
  default: 'standard_only',
  standard_only: 'standard_only',
});

/** Email addresses and telephone numbers: Anthropic answers 400 to these, as to more than 256 characters, and asks for a hash. */
const NAMES_A_PERSON = /@|^\+?[\d\s().-]{7,}$/;
const MAX_USER_ID = 256;

function opaque(userId: string): string {
  return userId.length > MAX_USER_ID || NAMES_A_PERSON.test(userId) ? hash('sha256', userId) : userId;
}

function accountFields(request: ChatRequest, unsupported: UnsupportedParams): JsonObject {
  const fields: JsonObject = {};
  const userId = request.user ?? request.safety_identifier ?? request.metadata?.user_id;
  if (typeof userId === 'string' && userId !== '') fields.metadata = { user_id: opaque(userId) };
  const tier = request.service_tier;
  if (tier === undefined || tier === null) return fields;
  if (Object.hasOwn(SERVICE_TIERS, tier)) fields.service_tier = SERVICE_TIERS[tier];
  else unsupported.refuse('service_tier', 'must be auto or default for Anthropic');
  return fields;
}
