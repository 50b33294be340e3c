import type { ChatChoice, ChatCompletion } from '@app/contracts';
import type { OpenAiDialect } from './openai-compatible.dialect.js';
import { badResponse, bodyError } from './openai-compatible.errors.js';
import { finishReason } from './openai-compatible.finish.js';
import { normaliseText, normaliseToolCall } from './openai-compatible.message.js';
import { completionUsage, readUsage } from './openai-compatible.usage.js';
import { asArray, asObject, asText, asUnixSeconds, type WireObject } from './openai-compatible.wire.js';

/** What an answer takes from its request. */
export interface AnswerContext {
  readonly clientModel: string;
  readonly requestId: string;
  readonly dialect: OpenAiDialect;
}

/**
 * A body with status 200 -> the client's completion: everything as received, unknown keys included, with the client's
 * name for the model; only what OpenAI's schema demands and the server left out is added.
 *
 * @throws ProviderError  for an error object in the body, or an answer without a choice
 */
export function toChatCompletion(body: unknown, context: AnswerContext): ChatCompletion {
  const wire = asObject(body);
  if (!wire) throw badResponse('The provider did not answer with a completion.');
  if (wire.error) throw bodyError(wire.error, false);
  const choices = asArray(wire.choices).map((choice, position) =>
    toChoice(choice, position, context.dialect),
  );
  if (choices.length === 0) throw badResponse('The provider answered without a choice.');
  const { usage: block, ...rest } = wire;
  const usage = completionUsage(block, readUsage(block));
  return {
    ...rest,
    id: asText(wire.id) ?? `chatcmpl-${context.requestId}`,
    object: 'chat.completion',
    created: asUnixSeconds(wire.created) ?? unixSeconds(),
    model: context.clientModel,
    choices,
    ...(usage ? { usage } : {}),
  };
}

export function unixSeconds(): number {
  return Math.floor(Date.now() / 1000);
}

/** An answer that Azure filtered has a finish reason and no message. */
function toChoice(choice: unknown, position: number, dialect: OpenAiDialect): ChatChoice {
  const wire = asObject(choice) ?? {};
  const message = asObject(wire.message) ?? {};
  normaliseText(message);
  const { tool_calls: _calls, ...rest } = message;
  const calls = asArray(message.tool_calls).map(normaliseToolCall);
  const word = asText(wire.finish_reason);
  return {
    ...wire,
    index: typeof wire.index === 'number' ? wire.index : position,
    message: {
      ...rest,
      role: 'assistant',
      content: typeof message.content === 'string' ? message.content : null,
      ...(calls.length > 0 ? { tool_calls: calls as ToolCalls } : {}),
    },
    finish_reason: finishReason(word ?? 'stop', calls.length > 0, dialect),
    ...nativeReason(wire, word, calls.length > 0, dialect),
  };
}

/** `normaliseToolCall` has put in what the type demands. */
type ToolCalls = NonNullable<ChatChoice['message']['tool_calls']>;

/** The server's own word, where ours is another. */
function nativeReason(
  wire: WireObject,
  word: string | undefined,
  called: boolean,
  dialect: OpenAiDialect,
): WireObject {
  if (word === undefined || wire.native_finish_reason !== undefined) return {};
  return finishReason(word, called, dialect) === word ? {} : { native_finish_reason: word };
}
