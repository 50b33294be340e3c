import type { ChatRequest, ChatTool, FunctionDefinition } from '@app/contracts';
import type { ModelTraits } from './anthropic.traits.js';
import { invalidBody, type UnsupportedParams } from '../translation/unsupported-params.js';
import { toEnforceableSchema } from './anthropic.schema.js';
import { isObject, type JsonObject, pick, textOf, type WireBlock } from './anthropic.wire.js';

export interface ToolFields {
  tools?: JsonObject[];
  tool_choice?: JsonObject;
}

/** The request uses the dialect before `tools`, and is answered in it. */
export function usesLegacyFunctions(request: ChatRequest): boolean {
  return (request.functions?.length ?? 0) > 0 && (request.tools?.length ?? 0) === 0;
}

/**
 * `tools`, `tool_choice`, `parallel_tool_calls` (or `functions`, `function_call`), `web_search_options` -> Anthropic's.
 *
 * @throws GatewayError  `unsupported_parameter`; `invalid_body` for a choice that names no tool
 */
export function toToolFields(
  request: ChatRequest,
  traits: ModelTraits,
  unsupported: UnsupportedParams,
): ToolFields {
  if (traits.textOnly && asksForTools(request, unsupported)) return {};
  const offered = usesLegacyFunctions(request)
    ? legacyTools(request, traits, unsupported)
    : (request.tools ?? []).flatMap((tool, index) => toTool(tool, `tools[${index}]`, traits, unsupported));
  const tools = [...allowedOf(offered, request.tool_choice), ...searchTool(request, offered, unsupported)];
  const choice = usesLegacyFunctions(request) ? legacyChoice(request) : toChoice(request, unsupported);
  if (tools.length === 0) return withoutTools(choice, request);
  if (!choice) return { tools };
  const isPossible = traits.forcedTools || !isForced(choice);
  return { tools, tool_choice: isPossible ? choice : unforced(choice, request, unsupported) };
}

/** Refuses tools of any kind. */
function asksForTools(request: ChatRequest, unsupported: UnsupportedParams): boolean {
  const asked = (['tools', 'functions', 'web_search_options'] as const).filter((name) => {
    const value = request[name];
    return Array.isArray(value) ? value.length > 0 : isObject(value);
  });
  for (const name of asked)
    unsupported.refuse(name, 'cannot be used with this model, which does not support tools');
  return asked.length > 0;
}

/** The version that every model with web search accepts. `max_uses` is what money is held for if the request names no limit. */
const WEB_SEARCH = { type: 'web_search_20250305', name: 'web_search', max_uses: 10 } as const;

/** OpenAI's search models have a field of their own for web search. Its `search_context_size` has no counterpart. */
function searchTool(
  { web_search_options: options }: ChatRequest,
  offered: readonly JsonObject[],
  unsupported: UnsupportedParams,
): JsonObject[] {
  if (!isObject(options)) return [];
  const namesake = offered.find((tool) => tool.name === WEB_SEARCH.name);
  if (namesake) {
    if (namesake.input_schema !== undefined)
      unsupported.refuse(
        'web_search_options',
        'cannot be combined with a function named web_search at Anthropic',
      );
    return [];
  }
  const { user_location: place, ...others } = options;
  for (const [name, value] of Object.entries(others)) {
    if (value !== null && value !== 'medium')
      unsupported.refuse(`web_search_options.${name}`, 'has no counterpart at Anthropic');
  }
  const isPlace = isObject(place) && isObject(place.approximate);
  return [
    {
      ...WEB_SEARCH,
      ...(isPlace && { user_location: { type: 'approximate', ...(place.approximate as JsonObject) } }),
    },
  ];
}

function isForced(choice: JsonObject | undefined): boolean {
  return choice?.type === 'any' || choice?.type === 'tool';
}

function unforced(choice: JsonObject, request: ChatRequest, unsupported: UnsupportedParams): JsonObject {
  unsupported.refuse(choiceParam(request), 'cannot force a tool call on this model');
  const { name: _name, ...others } = choice;
  return { ...others, type: 'auto' };
}

function choiceParam(request: ChatRequest): string {
  return request.tool_choice ? 'tool_choice' : 'function_call';
}

/** The request forces the model to call a tool. */
export function forcesTool(fields: ToolFields): boolean {
  return isForced(fields.tool_choice);
}

function legacyTools(
  request: ChatRequest,
  traits: ModelTraits,
  unsupported: UnsupportedParams,
): JsonObject[] {
  return (request.functions ?? []).map((definition, index) =>
    functionTool(definition, undefined, `functions[${index}]`, traits, unsupported),
  );
}

function toTool(
  tool: ChatTool,
  path: string,
  traits: ModelTraits,
  unsupported: UnsupportedParams,
): JsonObject[] {
  if (tool.type === 'function') {
    if (!isObject(tool.function)) throw invalidBody(`${path}.function`, 'must be an object');
    return [functionTool(tool.function, tool, `${path}.function`, traits, unsupported)];
  }
  // OpenAI's tools with free text as input have a `custom` object. Everything else is a tool of Anthropic's own.
  if (isObject(tool.custom)) {
    unsupported.refuse(path, 'is an OpenAI custom tool, which Anthropic does not have');
    return [];
  }
  return [tool];
}

const NO_PARAMETERS: JsonObject = Object.freeze({ type: 'object', properties: {} });

function functionTool(
  definition: FunctionDefinition,
  wrapper: ChatTool | undefined,
  path: string,
  traits: ModelTraits,
  unsupported: UnsupportedParams,
): JsonObject {
  const tool: JsonObject = { name: definition.name };
  if (typeof definition.description === 'string') tool.description = definition.description;
  const isStrict = definition.strict === true && isStrictPossible(`${path}.strict`, traits, unsupported);
  const schema = inputSchema(definition.parameters);
  tool.input_schema = isStrict ? toEnforceableSchema(schema) : schema;
  if (isStrict) tool.strict = true;
  return { ...tool, ...pick(definition, NATIVE_TOOL_FIELDS), ...pick(wrapper ?? {}, NATIVE_TOOL_FIELDS) };
}

function inputSchema(parameters: unknown): JsonObject {
  if (!isObject(parameters)) return NO_PARAMETERS;
  return typeof parameters.type === 'string' ? parameters : { ...parameters, type: 'object' };
}

function isStrictPossible(path: string, traits: ModelTraits, unsupported: UnsupportedParams): boolean {
  if (!traits.structuredOutputs) unsupported.refuse(path, 'cannot be guaranteed by this model');
  return traits.structuredOutputs;
}

const NATIVE_TOOL_FIELDS = [
  'cache_control',
  'defer_loading',
  'allowed_callers',
  'input_examples',
  'eager_input_streaming',
];

function toChoice(request: ChatRequest, unsupported: UnsupportedParams): JsonObject | undefined {
  const choice = baseChoice(request.tool_choice, unsupported);
  if (request.parallel_tool_calls !== false || choice?.type === 'none') return choice;
  return { ...(choice ?? { type: 'auto' }), disable_parallel_tool_use: true };
}

function baseChoice(
  choice: ChatRequest['tool_choice'],
  unsupported: UnsupportedParams,
): JsonObject | undefined {
  if (choice === undefined || choice === null) return undefined;
  if (choice === 'required') return { type: 'any' };
  if (typeof choice === 'string') return { type: choice };
  return (
    namedChoice(choice) ?? allowedChoice(choice) ?? nativeChoice(choice) ?? refusedChoice(choice, unsupported)
  );
}

function namedChoice(choice: JsonObject): JsonObject | undefined {
  if (choice.type !== 'function') return undefined;
  const name = isObject(choice.function) ? textOf(choice.function.name) : '';
  if (name === '') throw invalidBody('tool_choice.function.name', 'must name a tool');
  return { type: 'tool', name };
}

/** OpenAI's choice among some of the tools. Anthropic has no such list, so the other tools are not sent. */
function allowedOf(tools: JsonObject[], choice: ChatRequest['tool_choice']): JsonObject[] {
  const allowed = isObject(choice) ? allowedTools(choice) : undefined;
  if (!allowed) return tools;
  const given: unknown[] = Array.isArray(allowed.tools) ? allowed.tools : [];
  const names = new Set(given.filter(isObject).map((tool) => allowedName(tool)));
  const kept = tools.filter((tool) => names.has(textOf(tool.name)) || names.has(textOf(tool.type)));
  if (kept.length === 0)
    throw invalidBody('tool_choice.allowed_tools.tools', 'must name at least one of the tools');
  return kept;
}

/** In the form of chat completions, or of the Responses API, which has the fields beside the type. */
function allowedTools(choice: JsonObject): JsonObject | undefined {
  if (choice.type !== 'allowed_tools') return undefined;
  return isObject(choice.allowed_tools) ? choice.allowed_tools : choice;
}

/** Anthropic's own tools are named by their type. */
function allowedName(tool: JsonObject): string {
  const named = isObject(tool.function) ? tool.function.name : tool.name;
  return textOf(named) || textOf(tool.type);
}

function allowedChoice(choice: JsonObject): JsonObject | undefined {
  const allowed = allowedTools(choice);
  return allowed && { type: allowed.mode === 'required' ? 'any' : 'auto' };
}

const NATIVE_CHOICES = new Set(['auto', 'any', 'none', 'tool']);

function nativeChoice(choice: JsonObject): JsonObject | undefined {
  return NATIVE_CHOICES.has(textOf(choice.type)) ? choice : undefined;
}

function refusedChoice(choice: JsonObject, unsupported: UnsupportedParams): undefined {
  unsupported.refuse(
    'tool_choice',
    `of the type ${JSON.stringify(choice.type)} has no counterpart at Anthropic`,
  );
  return undefined;
}

/** At most one call: the legacy dialect has room for no more. */
function legacyChoice(request: ChatRequest): JsonObject {
  const choice = request.function_call;
  if (choice === 'none') return { type: 'none' };
  const base = isObject(choice) ? { type: 'tool', name: textOf(choice.name) } : { type: 'auto' };
  return { ...base, disable_parallel_tool_use: true };
}

function withoutTools(choice: JsonObject | undefined, request: ChatRequest): ToolFields {
  if (isForced(choice)) throw invalidBody(choiceParam(request), 'requires a tool, but there are none');
  return {};
}

/** The input of a call, as JSON text. */
export function toArguments(input: unknown): string {
  return isObject(input) ? JSON.stringify(input) : '{}';
}

/** Extra fields of a `tool_use` block that must come back with it, e.g. `caller`. */
export const TOOL_USE_EXTRAS = ['caller', 'toolset_name'] as const;

export function toolUseExtras(source: JsonObject | WireBlock): JsonObject {
  return pick(source, TOOL_USE_EXTRAS);
}
