import type { AssistantMessage, ChatChoice, ChatCompletion } from '@app/contracts';
import { unixSeconds } from '../translation/unix-seconds.js';
import type { OpenAiDialect } from './openai-compatible.dialect.js';
import { requireFewParts } from './openai-compatible.parts.js';
import { errorIn } from './error-body.js';
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
  /** Called when the server's name for reasoning turns out to be `reasoning`, and not `reasoning_content`. */
  readonly onReasoning?: (() => void) | undefined;
}

/**
 * A body with status 200 -> the client's completion: everything as received, unknown keys included, with the client's name
 * for the model, and with what OpenAI's schema demands and the server left out.
 *
 * @param body     becomes the completion: it is changed in place, and not copied
 * @param usage    the body's usage, for callers that have read it already
 * @throws ProviderError  for an error object in the body, or an answer without a choice
 */
export function toChatCompletion(
  body: unknown,
  context: AnswerContext,
  usage = readUsage(asObject(body)?.usage),
): ChatCompletion {
  const wire = asObject(body);
  if (!wire) throw badResponse('The provider did not answer with a completion.');
  const error = errorIn(wire);
  if (error) throw bodyError(error, false);
  requireFewParts(wire);
  const choices = asArray(wire.choices).map((choice, position) => toChoice(choice, position, context));
  if (choices.length === 0) throw badResponse('The provider answered without a choice.');
  wire.id = asText(wire.id) ?? `chatcmpl-${context.requestId}`;
  wire.object = 'chat.completion';
  wire.created = asUnixSeconds(wire.created) ?? unixSeconds();
  wire.model = context.clientModel;
  wire.choices = choices;
  const shown = completionUsage(wire.usage, usage);
  if (shown) wire.usage = shown;
  else if ('usage' in wire) delete wire.usage;
  return wire as ChatCompletion;
}

/** An answer that Azure filtered has a finish reason and no message. */
function toChoice(choice: unknown, position: number, context: AnswerContext): ChatChoice {
  const wire = asObject(choice) ?? {};
  if (wire.error) throw bodyError(wire.error, false);
  const message = asObject(wire.message) ?? {};
  normaliseText(message, context.onReasoning);
  const calls = asArray(message.tool_calls).map(normaliseToolCall);
  const word = asText(wire.finish_reason);
  const reason = finishReason(word ?? 'stop', calls.length > 0, context.dialect);
  if (typeof wire.index !== 'number') wire.index = position;
  wire.message = toMessage(message, calls);
  wire.finish_reason = reason;
  if (word !== undefined && word !== reason && wire.native_finish_reason === undefined)
    wire.native_finish_reason = word;
  return wire as ChatChoice;
}

/** @param calls  `normaliseToolCall` has put in what the type demands */
function toMessage(message: WireObject, calls: WireObject[]): AssistantMessage {
  message.role = 'assistant';
  if (typeof message.content !== 'string') message.content = null;
  if (calls.length > 0) message.tool_calls = calls;
  else if ('tool_calls' in message) delete message.tool_calls;
  return message as unknown as AssistantMessage;
}
