import type { AssistantMessage, ChatChoice, ChatCompletion } from '@app/contracts';
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
 * @param usage    what the body's usage says, for whoever has read it already
 * @throws ProviderError  for an error object in the body, or an answer without a choice
 */
export function toChatCompletion(
  body: unknown,
  context: AnswerContext,
  usage = readUsage(asObject(body)?.usage),
): ChatCompletion {
  const wire = asObject(body);
  if (!wire) throw badResponse('The provider did not answer with a completion.');
  if (wire.error) throw bodyError(wire.error, false);
  const choices = asArray(wire.choices).map((choice, position) =>
    toChoice(choice, position, context.dialect),
  );
  if (choices.length === 0) throw badResponse('The provider answered without a choice.');
  // One copy of the ordinary answer: what is not there is taken away only where that is needed.
  const completion: ChatCompletion = {
    ...wire,
    id: asText(wire.id) ?? `chatcmpl-${context.requestId}`,
    object: 'chat.completion',
    created: asUnixSeconds(wire.created) ?? unixSeconds(),
    model: context.clientModel,
    choices,
  };
  const shown = completionUsage(wire.usage, usage);
  if (shown) completion.usage = shown;
  else delete completion.usage;
  return completion;
}

export function unixSeconds(): number {
  return Math.floor(Date.now() / 1000);
}

/** An answer that Azure filtered has a finish reason and no message. */
function toChoice(choice: unknown, position: number, dialect: OpenAiDialect): ChatChoice {
  const wire = asObject(choice) ?? {};
  const message = asObject(wire.message) ?? {};
  normaliseText(message);
  const calls = asArray(message.tool_calls).map(normaliseToolCall);
  const word = asText(wire.finish_reason);
  const reason = finishReason(word ?? 'stop', calls.length > 0, dialect);
  const shown: ChatChoice = {
    ...wire,
    index: typeof wire.index === 'number' ? wire.index : position,
    message: toMessage(message, calls as ToolCalls),
    finish_reason: reason,
  };
  if (word !== undefined && word !== reason && wire.native_finish_reason === undefined)
    shown.native_finish_reason = word;
  return shown;
}

function toMessage(message: WireObject, calls: ToolCalls): AssistantMessage {
  const shown: AssistantMessage = {
    ...message,
    role: 'assistant',
    content: typeof message.content === 'string' ? message.content : null,
  };
  if (calls.length > 0) shown.tool_calls = calls;
  else delete shown.tool_calls;
  return shown;
}

/** `normaliseToolCall` has put in what the type demands. */
type ToolCalls = NonNullable<ChatChoice['message']['tool_calls']>;
