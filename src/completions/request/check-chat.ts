import { JsonBudget } from '@app/contracts';
import { REQUEST_BOUNDS } from '../../edge/json-structure.js';

/**
 * Checks of the nested parts of a chat request, as plain functions: class instances for every message would cost
 * 35–235 µs a request, these cost about one. They refuse only what no provider could read; they change nothing.
 */

/** What is wrong and where, relative to the checked field: `[0].content`. */
export interface Fault {
  readonly path: string;
  readonly problem: string;
}

const ROLES = new Set(['system', 'developer', 'user', 'assistant', 'tool', 'function']);

type JsonObject = Record<string, unknown>;

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function checkMessages(messages: unknown): Fault | undefined {
  if (!Array.isArray(messages)) return { path: '', problem: 'must be an array' };
  // Arguments are JSON in a string, which some providers want parsed: all of a request's in one turn.
  const budget = new JsonBudget(REQUEST_BOUNDS);
  for (let i = 0; i < messages.length; i++) {
    const fault = checkMessage(messages[i], budget);
    if (fault) return { path: `[${i}]${fault.path}`, problem: fault.problem };
  }
  return undefined;
}

function checkMessage(message: unknown, budget: JsonBudget): Fault | undefined {
  if (!isObject(message)) return { path: '', problem: 'must be an object' };
  const { role, content } = message;
  if (typeof role !== 'string' || !ROLES.has(role)) {
    return { path: '.role', problem: `must be one of ${[...ROLES].join(', ')}` };
  }
  return (
    checkTexts(message) ??
    checkFields(message.provider_specific_fields) ??
    checkContent(role, content) ??
    checkToolParts(role, message, budget)
  );
}

const TEXTS = ['name', 'refusal', 'reasoning_content'] as const;

function checkTexts(message: JsonObject): Fault | undefined {
  for (const name of TEXTS) {
    const value = message[name];
    if (value !== undefined && value !== null && typeof value !== 'string') {
      return { path: `.${name}`, problem: 'must be a string' };
    }
  }
  return undefined;
}

function checkFields(fields: unknown): Fault | undefined {
  return fields === undefined || fields === null || isObject(fields)
    ? undefined
    : { path: '.provider_specific_fields', problem: 'must be an object' };
}

function checkContent(role: string, content: unknown): Fault | undefined {
  if (typeof content === 'string') return undefined;
  if (content === undefined || content === null) {
    // An assistant's turn may consist of tool calls or reasoning alone; Go's clients leave out what a tool answered with no words.
    return role === 'assistant' || role === 'tool' || role === 'function'
      ? undefined
      : { path: '.content', problem: 'is missing' };
  }
  if (!Array.isArray(content)) return { path: '.content', problem: 'must be a string or an array of parts' };
  for (let i = 0; i < content.length; i++) {
    const fault = checkPart(content[i]);
    if (fault) return { path: `.content[${i}]${fault.path}`, problem: fault.problem };
  }
  return undefined;
}

const PART_CHECKS: Readonly<Record<string, (part: JsonObject) => Fault | undefined>> = {
  text: (part) =>
    typeof part.text === 'string' ? undefined : { path: '.text', problem: 'must be a string' },
  refusal: (part) =>
    typeof part.refusal === 'string' ? undefined : { path: '.refusal', problem: 'must be a string' },
  image_url: ({ image_url: image }) => {
    // Some clients write the URL itself here, as OpenAI once took it.
    if (!isObject(image)) return { path: '.image_url', problem: 'must be an object with a url' };
    return typeof image.url === 'string'
      ? checkMediaUrl(image.url, '.image_url.url')
      : { path: '.image_url.url', problem: 'must be a string' };
  },
  input_audio: (part) =>
    isObject(part.input_audio) &&
    typeof part.input_audio.data === 'string' &&
    typeof part.input_audio.format === 'string'
      ? undefined
      : { path: '.input_audio', problem: 'must have data and format' },
  file: (part) => (isObject(part.file) ? undefined : { path: '.file', problem: 'must be an object' }),
};

function checkPart(part: unknown): Fault | undefined {
  if (!isObject(part)) return { path: '', problem: 'must be an object' };
  if (typeof part.type !== 'string') return { path: '.type', problem: 'must be a string' };
  return Object.hasOwn(PART_CHECKS, part.type) ? PART_CHECKS[part.type]?.(part) : undefined;
}

/** The gateway never fetches it; but a scheme that no provider takes is refused here, with the field's name. */
function checkMediaUrl(url: string, path: string): Fault | undefined {
  return /^(?:https?:\/\/|data:|gs:\/\/)/i.test(url)
    ? undefined
    : { path, problem: 'must be an https: or data: URL' };
}

function checkToolParts(role: string, message: JsonObject, budget: JsonBudget): Fault | undefined {
  if (role === 'tool' && typeof message.tool_call_id !== 'string') {
    return { path: '.tool_call_id', problem: 'must name the tool call that this message answers' };
  }
  return checkFunctionCall(message.function_call, budget) ?? checkToolCalls(message.tool_calls, budget);
}

/** The dialect before `tools`. */
function checkFunctionCall(call: unknown, budget: JsonBudget): Fault | undefined {
  if (call === undefined || call === null) return undefined;
  if (!isObject(call) || typeof call.name !== 'string' || typeof call.arguments !== 'string') {
    return { path: '.function_call', problem: 'must have name and arguments as strings' };
  }
  return budget.covers(call.arguments) ? undefined : { path: '.function_call', problem: TOO_MUCH };
}

function checkToolCalls(calls: unknown, budget: JsonBudget): Fault | undefined {
  if (calls === undefined || calls === null) return undefined;
  if (!Array.isArray(calls)) return { path: '.tool_calls', problem: 'must be an array' };
  for (let i = 0; i < calls.length; i++) {
    const problem = toolCallProblem(calls[i], budget);
    if (problem) return { path: `.tool_calls[${i}]`, problem };
  }
  return undefined;
}

function toolCallProblem(call: unknown, budget: JsonBudget): string | undefined {
  if (!isObject(call)) return 'must be an object';
  if (typeof call.id !== 'string') return 'must have an id';
  if (call.type !== undefined && call.type !== 'function') return undefined;
  if (!isObject(call.function)) return 'must have a function';
  if (typeof call.function.name !== 'string') return 'must have function.name';
  if (typeof call.function.arguments !== 'string') return 'must have function.arguments as a string';
  return budget.covers(call.function.arguments) ? undefined : TOO_MUCH;
}

const TOO_MUCH = 'has too many or too deeply nested arguments';

/** A hundred times what OpenAI takes. */
const MAX_TOOLS = 12_800;

export function checkTools(tools: unknown): Fault | undefined {
  if (!Array.isArray(tools)) return { path: '', problem: 'must be an array' };
  if (tools.length > MAX_TOOLS) return { path: '', problem: `must have at most ${MAX_TOOLS} tools` };
  for (let i = 0; i < tools.length; i++) {
    const tool: unknown = tools[i];
    if (!isObject(tool)) return { path: `[${i}]`, problem: 'must be an object' };
    if (tool.type !== undefined && typeof tool.type !== 'string') {
      return { path: `[${i}].type`, problem: 'must be a string' };
    }
    if (tool.type === 'function') {
      const fault = checkFunction(tool.function);
      if (fault) return { path: `[${i}].function${fault.path}`, problem: fault.problem };
    }
  }
  return undefined;
}

export function checkFunctions(functions: unknown): Fault | undefined {
  if (!Array.isArray(functions)) return { path: '', problem: 'must be an array' };
  if (functions.length > MAX_TOOLS) return { path: '', problem: `must have at most ${MAX_TOOLS} functions` };
  for (let i = 0; i < functions.length; i++) {
    const fault = checkFunction(functions[i]);
    if (fault) return { path: `[${i}]${fault.path}`, problem: fault.problem };
  }
  return undefined;
}

function checkFunction(definition: unknown): Fault | undefined {
  if (!isObject(definition)) return { path: '', problem: 'must be an object' };
  if (typeof definition.name !== 'string' || definition.name === '') {
    return { path: '.name', problem: 'must be a non-empty string' };
  }
  const { parameters } = definition;
  return parameters === undefined || parameters === null || isObject(parameters)
    ? undefined
    : { path: '.parameters', problem: 'must be a JSON Schema object' };
}

export function checkToolChoice(choice: unknown): Fault | undefined {
  const isRight = isObject(choice)
    ? typeof choice.type === 'string'
    : choice === 'none' || choice === 'auto' || choice === 'required';
  return isRight
    ? undefined
    : { path: '', problem: 'must be none, auto, required or an object naming a tool' };
}

export function checkStop(stop: unknown): Fault | undefined {
  if (typeof stop === 'string') return undefined;
  const isList = Array.isArray(stop) && stop.length <= 64 && stop.every((item) => typeof item === 'string');
  return isList ? undefined : { path: '', problem: 'must be a string or an array of at most 64 strings' };
}
