import { GatewayError, type ChatRequest, type ChatTool, type ProviderCall } from '@app/contracts';
import { asArray, asObject, type WireObject } from '../openai-compatible/openai-compatible.wire.js';
import { isReasoningModel } from './openai.dialect.js';
import { inputItems, refuseUnsupported } from './responses.input.js';

interface ResponsesRequest {
  readonly body: WireObject;
  /** Fields of the client's that this wire has no place for. */
  readonly droppedParams: readonly string[];
}

/**
 * The client's request -> the body of `POST /responses`. Fields that the two wires share, and fields we do not know, pass.
 *
 * Nothing is stored at OpenAI unless the client asks for it (this wire would, chat completions do not); instead, reasoning
 * comes back encrypted and travels through the client.
 *
 * @throws GatewayError  `unsupported_parameter`, unless unsupported ones may be dropped
 */
export function toResponsesRequest(call: ProviderCall, stream: boolean): ResponsesRequest {
  const { request } = call;
  const droppedParams = unsupportedFields(request);
  if (droppedParams[0] !== undefined && !call.dropUnsupported) throw unsupported(droppedParams[0]);
  const leaveOut = (param: string) => droppedParams.push(param);
  const body = {
    ...sharedFields(request),
    model: call.upstreamModel,
    input: inputItems(request.messages, call.dropUnsupported ? leaveOut : refuseUnsupported),
    store: request.store ?? false,
    ...(call.maxOutputTokens === undefined ? {} : { max_output_tokens: call.maxOutputTokens }),
    ...reasoningField(request),
    ...textField(request),
    ...toolFields(request),
    ...includeFields(request, call.upstreamModel),
    ...(stream ? streamFields(request) : {}),
  };
  return { body, droppedParams };
}

/**
 * Fields of this wire alone that bring in what is not in the messages: no money is held for that, and what is stored at
 * OpenAI belongs to all users together.
 */
const FROM_ELSEWHERE = ['previous_response_id', 'conversation', 'prompt', 'instructions', 'input'];

/** Fields of chat completions that have another form here, or none. */
const OWN_FIELDS = new Set([
  'model',
  'messages',
  'stream',
  'stream_options',
  'store',
  'max_tokens',
  'max_completion_tokens',
  'reasoning_effort',
  'reasoning',
  'verbosity',
  'text',
  'response_format',
  'tools',
  'tool_choice',
  'functions',
  'function_call',
  'logprobs',
  'top_logprobs',
  'include',
  'n',
  'stop',
  'seed',
  'frequency_penalty',
  'presence_penalty',
  'logit_bias',
  'modalities',
  'audio',
  'prediction',
  'web_search_options',
  'background',
  ...FROM_ELSEWHERE,
]);

function sharedFields(request: ChatRequest): WireObject {
  return Object.fromEntries(
    Object.entries(request).filter(
      ([name, value]) => !OWN_FIELDS.has(name) && value !== undefined && value !== null,
    ),
  );
}

/** Fields whose effect would be missed; one with its default value has none. */
function unsupportedFields(request: ChatRequest): string[] {
  const missed: Record<string, boolean> = {
    n: (request.n ?? 1) !== 1,
    stop: [request.stop ?? []].flat().length > 0,
    seed: isSet(request.seed),
    frequency_penalty: (request.frequency_penalty ?? 0) !== 0,
    presence_penalty: (request.presence_penalty ?? 0) !== 0,
    logit_bias: Object.keys(request.logit_bias ?? {}).length > 0,
    modalities: asArray(request.modalities).some((modality) => modality !== 'text'),
    audio: isSet(request.audio),
    prediction: isSet(request.prediction),
    functions: (request.functions ?? []).length > 0,
    function_call: asObject(request.function_call) !== undefined,
    background: request.background === true,
  };
  for (const name of FROM_ELSEWHERE) missed[name] = isSet(request[name]);
  return Object.keys(missed).filter((name) => missed[name]);
}

function isSet(value: unknown): boolean {
  return value !== undefined && value !== null;
}

function unsupported(field: string): GatewayError {
  const message = FROM_ELSEWHERE.includes(field)
    ? `${field} is not accepted here: put what the model needs to know into messages.`
    : `This model is served by OpenAI's Responses API, which has no ${field}.`;
  return new GatewayError('unsupported_parameter', message, { param: field });
}

function reasoningField(request: ChatRequest): WireObject {
  const reasoning = {
    ...asObject(request.reasoning),
    ...(request.reasoning_effort ? { effort: request.reasoning_effort } : {}),
  };
  return Object.keys(reasoning).length > 0 ? { reasoning } : {};
}

function textField(request: ChatRequest): WireObject {
  const text = {
    ...asObject(request.text),
    ...(isSet(request.verbosity) ? { verbosity: request.verbosity } : {}),
    ...(request.response_format ? { format: textFormat(request.response_format) } : {}),
  };
  return Object.keys(text).length > 0 ? { text } : {};
}

function textFormat(format: NonNullable<ChatRequest['response_format']>): WireObject {
  return format.type === 'json_schema' ? { ...format.json_schema, type: format.type } : { ...format };
}

function toolFields(request: ChatRequest): WireObject {
  const offered = (request.tools ?? []).map(wireTool);
  const searches = offered.some(({ type }) => typeof type === 'string' && type.startsWith('web_search'));
  const tools = searches ? offered : [...offered, ...searchTool(request.web_search_options)];
  if (tools.length === 0) return {};
  const choice = request.tool_choice;
  return { tools, ...(choice ? { tool_choice: wireToolChoice(choice) } : {}) };
}

/** The field that makes models of chat completions search is a tool here, with the same settings. */
function searchTool(options: unknown): WireObject[] {
  const settings = asObject(options);
  if (!settings) return [];
  const { user_location: place, ...others } = settings;
  const approximate = asObject(asObject(place)?.approximate);
  const location = approximate ? { user_location: { ...approximate, type: 'approximate' } } : {};
  return [{ ...others, type: 'web_search', ...location }];
}

/**
 * `strict` is always sent: its default is off in chat completions, and on here. `type` comes last, as a `type` inside the
 * function would win over the one that the hold was made for.
 */
function wireTool(tool: ChatTool): WireObject {
  if (tool.type === 'function' && tool.function) {
    const { strict, parameters, ...called } = tool.function;
    return {
      ...called,
      parameters: parameters ?? { type: 'object', properties: {} },
      strict: strict ?? false,
      type: 'function',
    };
  }
  const custom = tool.type === 'custom' ? asObject(tool.custom) : undefined;
  return custom ? { ...custom, ...grammarFormat(custom), type: 'custom' } : { ...tool };
}

/** `{type: "grammar", grammar: {syntax, definition}}` is flat here. */
function grammarFormat(custom: WireObject): WireObject {
  const format = asObject(custom.format);
  const grammar = asObject(format?.grammar);
  return grammar ? { format: { ...grammar, type: 'grammar' } } : {};
}

function wireToolChoice(choice: NonNullable<ChatRequest['tool_choice']>): unknown {
  if (typeof choice === 'string') return choice;
  const { type, ...rest }: WireObject = choice;
  const named = typeof type === 'string' ? asObject(rest[type]) : undefined;
  if (!named) return choice;
  return type === 'allowed_tools' ? { ...named, ...flatTools(named), type } : { ...named, type };
}

function flatTools(allowed: WireObject): WireObject {
  return {
    tools: asArray(allowed.tools).map((tool) => {
      const { type, ...rest } = asObject(tool) ?? {};
      const named = typeof type === 'string' ? asObject(rest[type]) : undefined;
      return named ? { ...named, type } : tool;
    }),
  };
}

function includeFields(request: ChatRequest, model: string): WireObject {
  const include = new Set(asArray(request.include));
  if (isReasoningModel(model)) include.add('reasoning.encrypted_content');
  if (request.logprobs) include.add('message.output_text.logprobs');
  return {
    ...(include.size > 0 ? { include: [...include] } : {}),
    ...(request.logprobs ? { top_logprobs: request.top_logprobs ?? 0 } : {}),
  };
}

function streamFields(request: ChatRequest): WireObject {
  const { include_usage: _usage, ...options } = request.stream_options ?? {};
  return { stream: true, ...(Object.keys(options).length > 0 ? { stream_options: options } : {}) };
}
