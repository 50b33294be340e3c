import type { ChatMessage, ChatRequest, FinishReason, Usage } from '@app/contracts';
import { ECHO_MAX_OUTPUT_TOKENS, type EchoBehaviour } from './echo.models.js';
import { tokensOf } from './echo.tokens.js';
import { sampleSchema } from './sample-schema.js';

/** One token of an answer, and the part it belongs to. */
export interface AnswerToken {
  readonly part: 'reasoning' | 'content' | 'arguments';
  readonly text: string;
}

/** An answer before it is sent, whole or in pieces. With `n` all choices are the same. */
export interface EchoAnswer {
  readonly tokens: readonly AnswerToken[];
  readonly toolCall: { readonly id: string; readonly name: string } | undefined;
  readonly finishReason: FinishReason;
  readonly choices: number;
  readonly usage: Usage;
}

/**
 * What a model of that behaviour answers to the request: the same each time.
 *
 * @param inputTokens  of a request that fits the context window: all of it is read here
 */
export function answerOf(
  request: ChatRequest,
  behaviour: EchoBehaviour,
  inputTokens: number,
  maxOutputTokens: number | undefined,
): EchoAnswer {
  const heard = lastWords(request);
  const tool = toolToCall(request, behaviour);
  const reasoning = behaviour.reasons ? part('reasoning', `The user said: ${heard}`) : [];
  const spoken = tool
    ? part('arguments', JSON.stringify(sampleSchema(tool.parameters, heard)))
    : part('content', untilStop(spokenText(request, behaviour, heard), request.stop));
  const all = [...reasoning, ...spoken];
  const limit = Math.min(maxOutputTokens ?? ECHO_MAX_OUTPUT_TOKENS, ECHO_MAX_OUTPUT_TOKENS);
  const tokens = all.slice(0, limit);
  return {
    tokens,
    toolCall: tool && { id: `call_echo_${callsBefore(request) + 1}`, name: tool.name },
    finishReason: tokens.length < all.length ? 'length' : tool ? 'tool_calls' : 'stop',
    choices: request.n ?? 1,
    usage: usageOf(request, inputTokens, tokens, behaviour),
  };
}

function part(name: AnswerToken['part'], text: string): AnswerToken[] {
  return tokensOf(text).map((token) => ({ part: name, text: token }));
}

function usageOf(
  request: ChatRequest,
  inputTokens: number,
  tokens: readonly AnswerToken[],
  behaviour: EchoBehaviour,
): Usage {
  const choices = request.n ?? 1;
  const reasoning = tokens.filter((token) => token.part === 'reasoning').length;
  return {
    inputTokens,
    outputTokens: tokens.length * choices,
    ...(behaviour.reasons ? { reasoningOutputTokens: reasoning * choices } : {}),
  };
}

/** The text to repeat: the user's last message, or the result of a tool that came after it. */
function lastWords(request: ChatRequest): string {
  const message = request.messages.findLast(
    ({ role }) => role === 'user' || role === 'tool' || role === 'function',
  );
  return message ? textOf(message) : '';
}

function textOf({ content }: ChatMessage): string {
  if (typeof content === 'string') return content;
  return (content ?? [])
    .map((item) => (typeof item.text === 'string' ? item.text : `[${item.type}]`))
    .join('\n');
}

function spokenText(request: ChatRequest, behaviour: EchoBehaviour, heard: string): string {
  const format = request.response_format;
  if (format?.type === 'json_object') return JSON.stringify({ echo: heard });
  if (format?.type === 'json_schema') return JSON.stringify(sampleSchema(schemaOf(format), heard));
  const text = `Echo: ${heard}`;
  if (behaviour.outputTokens === undefined) return text;
  const times = Math.ceil(behaviour.outputTokens / Math.max(1, tokensOf(text).length));
  return Array.from({ length: times }, () => text).join('\n');
}

/** Only the type of the format has been checked. */
function schemaOf(format: object): unknown {
  const named: unknown = Reflect.get(format, 'json_schema');
  return typeof named === 'object' && named !== null ? Reflect.get(named, 'schema') : undefined;
}

function untilStop(text: string, stop: ChatRequest['stop']): string {
  const places = [stop ?? []]
    .flat()
    .map((sequence) => (sequence === '' ? -1 : text.indexOf(sequence)))
    .filter((place) => place >= 0);
  return places.length > 0 ? text.slice(0, Math.min(...places)) : text;
}

interface Callable {
  readonly name: string;
  readonly parameters: unknown;
}

/** The result of a tool never leads to another call, so a conversation with tools comes to an end. */
function toolToCall(request: ChatRequest, behaviour: EchoBehaviour): Callable | undefined {
  const tools = (request.tools ?? []).flatMap((tool) => (tool.function ? [tool.function] : []));
  const choice = request.tool_choice;
  const named =
    typeof choice === 'object' && choice && 'function' in choice ? nameOf(choice.function) : undefined;
  if (named !== undefined) return asCallable(tools.find((tool) => tool.name === named));
  if (choice === 'required') return asCallable(tools[0]);
  const answered = request.messages.at(-1)?.role === 'tool';
  return behaviour.callsTools && choice !== 'none' && !answered ? asCallable(tools[0]) : undefined;
}

function nameOf(value: unknown): string | undefined {
  const name: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, 'name') : undefined;
  return typeof name === 'string' ? name : undefined;
}

function asCallable(tool: { name: string; parameters?: unknown } | undefined): Callable | undefined {
  return tool && { name: tool.name, parameters: tool.parameters ?? { type: 'object' } };
}

function callsBefore(request: ChatRequest): number {
  return request.messages.reduce((total, message) => total + (message.tool_calls?.length ?? 0), 0);
}
