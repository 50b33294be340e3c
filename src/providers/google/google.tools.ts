import type { ChatRequest, ChatTool, FunctionDefinition } from '@app/contracts';
import { toGeminiSchema } from './google.schema.js';
import { invalidBody, type UnsupportedParams } from '../translation/unsupported-params.js';
import { isObject, type JsonObject, objects, text, toCamelCase, without } from './google.wire.js';

interface GeminiTools {
  readonly tools?: JsonObject[];
  readonly toolConfig?: JsonObject;
}

/** Tools that Google runs itself, by Gemini's names. */
const GOOGLE_TOOLS = new Set([
  'googleSearch',
  'googleSearchRetrieval',
  'codeExecution',
  'urlContext',
  'fileSearch',
  'computerUse',
  'googleMaps',
  'enterpriseWebSearch',
  'retrieval',
  'mcpServers',
]);
/** OpenAI's names for them. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  webSearch: 'googleSearch',
  webSearchPreview: 'googleSearch',
  codeInterpreter: 'codeExecution',
};
const TYPE = new Set(['type']);

/**
 * `tools`, `functions` and the choice between them -> `tools` and `toolConfig`.
 *
 * Schemas go into `parametersJsonSchema`, which accepts JSON Schema; `parameters` supports only a part of it.
 * Google's own tools pass as raw objects (`{"googleSearch": {}}`) or by type (`{"type": "google_search"}`).
 * `strict` has no counterpart: Gemini follows the schema anyway.
 *
 * @param combines  the model accepts Google's own tools beside functions, if the request asks to see their calls
 */
export function translateTools(
  request: ChatRequest,
  combines: boolean,
  unsupported: UnsupportedParams,
): GeminiTools {
  const declarations: JsonObject[] = [];
  const vendor: JsonObject[] = [];
  for (const [index, tool] of (request.tools ?? []).entries()) {
    if (tool.type === 'function' && tool.function) declarations.push(declare(tool.function));
    else vendor.push(...translateOwnTool(tool, `tools[${index}]`, unsupported));
  }
  for (const definition of request.functions ?? []) declarations.push(declare(definition));
  const own = declarations.length > 0 ? [{ functionDeclarations: declarations }] : [];
  const tools = [...own, ...vendor, ...searchTool(request.web_search_options, unsupported)];
  const hasFunctions = tools.some((tool) => 'functionDeclarations' in tool);
  const choice = translateChoice(request, hasFunctions, unsupported);
  const isMixed = combines && hasFunctions && hasGoogleTools(tools);
  const toolConfig = isMixed ? { ...choice, includeServerSideToolInvocations: true } : choice;
  return { ...(tools.length > 0 ? { tools } : {}), ...(toolConfig ? { toolConfig } : {}) };
}

/** Whether some of the tools are Google's own, not functions of the client. */
export function hasGoogleTools(tools: readonly JsonObject[]): boolean {
  return tools.some((tool) => Object.keys(tool).some((key) => key !== 'functionDeclarations'));
}

/** Fields of Gemini's declarations that OpenAI's do not have. */
const OWN_FIELDS = new Set(['response', 'responseJsonSchema', 'behavior']);

function declare({ name, description, parameters, ...others }: FunctionDefinition): JsonObject {
  const own = Object.entries(others).map(([key, value]): [string, unknown] => [toCamelCase(key), value]);
  return {
    name,
    ...(description === undefined ? {} : { description }),
    ...parametersOf(parameters),
    ...Object.fromEntries(own.filter(([key]) => OWN_FIELDS.has(key))),
  };
}

/** OpenAI accepts a schema without `type: object`; `{}` means that there are no parameters. */
function parametersOf(schema: unknown): JsonObject {
  if (!isObject(schema) || Object.keys(schema).length === 0) return {};
  const isTyped = schema.type !== undefined || !isObject(schema.properties);
  return { parametersJsonSchema: toGeminiSchema(isTyped ? schema : { type: 'object', ...schema }) };
}

function translateOwnTool(tool: ChatTool, path: string, unsupported: UnsupportedParams): JsonObject[] {
  const type = text(tool.type);
  if (type === undefined) return [rawTool(tool)];
  const own = toCamelCase(type);
  const name = (Object.hasOwn(OTHER_NAMES, own) ? OTHER_NAMES[own] : undefined) ?? own;
  if (!GOOGLE_TOOLS.has(name)) {
    unsupported.refuse(`${path}.type`, `"${type}" is not supported by Google Gemini`);
    return [];
  }
  const settings = without(tool, TYPE) ?? {};
  return [{ [name]: settings[name] ?? settings[type] ?? settings }];
}

/** In camel case, because `functionDeclarations` is looked up later. Unknown tools pass. */
function rawTool(tool: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(tool).map(([key, value]) => [toCamelCase(key), value]));
}

/** OpenAI's search models have a field of their own for web search. */
function searchTool(options: unknown, unsupported: UnsupportedParams): JsonObject[] {
  if (!isObject(options)) return [];
  for (const [key, value] of Object.entries(options)) {
    if (value !== null && value !== 'medium') unsupported.refuse(`web_search_options.${key}`);
  }
  return [{ googleSearch: {} }];
}

function translateChoice(
  request: ChatRequest,
  hasFunctions: boolean,
  unsupported: UnsupportedParams,
): JsonObject | undefined {
  if (!hasFunctions) return withoutFunctions(request);
  const config = callingConfig(request, unsupported);
  return config && { functionCallingConfig: config };
}

/** Google refuses a calling mode without declarations; "auto" and "none" change nothing then. */
function withoutFunctions({ tool_choice: choice }: ChatRequest): undefined {
  if (choice === 'required' || isObject(choice)) throw invalidBody('tool_choice', 'needs functions in tools');
}

const MODES: Readonly<Record<string, string>> = { auto: 'AUTO', required: 'ANY', none: 'NONE' };

function callingConfig(request: ChatRequest, unsupported: UnsupportedParams): JsonObject | undefined {
  const choice: unknown = request.tool_choice ?? request.function_call ?? undefined;
  if (choice === undefined) return undefined;
  if (typeof choice === 'string' && Object.hasOwn(MODES, choice)) return { mode: MODES[choice] };
  if (isObject(choice)) return namedChoice(choice, unsupported);
  throw invalidBody('tool_choice', 'must be "none", "auto", "required" or a function');
}

function namedChoice(choice: JsonObject, unsupported: UnsupportedParams): JsonObject | undefined {
  if (choice.type === 'allowed_tools') return allowedTools(choice);
  const name = isObject(choice.function) ? text(choice.function.name) : text(choice.name);
  if (name !== undefined && (choice.type === 'function' || choice.type === undefined)) {
    return { mode: 'ANY', allowedFunctionNames: [name] };
  }
  unsupported.refuse('tool_choice');
  return undefined;
}

/**
 * `AUTO` does not accept a list of names; `VALIDATED` is the mode that leaves the model a free choice within one. An empty list
 * would allow all functions.
 */
function allowedTools(choice: JsonObject): JsonObject {
  const allowed = isObject(choice.allowed_tools) ? choice.allowed_tools : choice;
  const names = objects(allowed.tools)
    .map((tool) => (isObject(tool.function) ? tool.function.name : tool.name))
    .filter((name) => typeof name === 'string');
  if (names.length === 0)
    throw invalidBody('tool_choice.allowed_tools.tools', 'must name at least one of the functions');
  return { mode: allowed.mode === 'required' ? 'ANY' : 'VALIDATED', allowedFunctionNames: names };
}
