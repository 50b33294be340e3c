import {
  toCompletionUsage,
  type AssistantMessage,
  type ChatCompletion,
  type ChatDelta,
  type ChatStreamEvent,
  type FinishReason,
  type ProviderCall,
} from '@app/contracts';
import { unixSeconds } from '../translation/unix-seconds.js';
import type { AnswerToken, EchoAnswer } from './echo.answer.js';

/** The whole answer. `usage` is left out for a model that reports none. */
export function toCompletion(call: ProviderCall, answer: EchoAnswer, reportsUsage: boolean): ChatCompletion {
  const choices = Array.from({ length: answer.choices }, (_, index) => ({
    index,
    message: messageOf(answer),
    logprobs: null,
    finish_reason: answer.finishReason,
  }));
  return {
    id: completionId(call),
    object: 'chat.completion',
    created: unixSeconds(),
    model: call.clientModel,
    choices,
    ...(reportsUsage ? { usage: toCompletionUsage(answer.usage) } : {}),
  };
}

function messageOf({ tokens, toolCall }: EchoAnswer): AssistantMessage {
  const joined = (part: AnswerToken['part']) =>
    tokens
      .filter((token) => token.part === part)
      .map((token) => token.text)
      .join('');
  const reasoning = joined('reasoning');
  return {
    role: 'assistant',
    content: toolCall ? null : joined('content'),
    refusal: null,
    ...(reasoning === '' ? {} : { reasoning_content: reasoning }),
    ...(toolCall
      ? {
          tool_calls: [
            {
              id: toolCall.id,
              type: 'function',
              function: { name: toolCall.name, arguments: joined('arguments') },
            },
          ],
        }
      : {}),
  };
}

/** The same answer in pieces: role, tokens, end, usage. */
export function* streamEvents(
  call: ProviderCall,
  answer: EchoAnswer,
  reportsUsage: boolean,
): Generator<ChatStreamEvent, undefined> {
  const writer = new ChunkWriter(call);
  const everyChoice = Array.from({ length: answer.choices }, (_, index) => index);
  for (const index of everyChoice) yield writer.opening(index, answer);
  for (const token of answer.tokens) for (const index of everyChoice) yield writer.token(index, token);
  for (const index of everyChoice) yield writer.end(index, answer.finishReason);
  if (reportsUsage) yield writer.usage(answer);
}

class ChunkWriter {
  readonly #envelope: { id: string; object: 'chat.completion.chunk'; created: number; model: string };

  constructor(call: ProviderCall) {
    this.#envelope = {
      id: completionId(call),
      object: 'chat.completion.chunk',
      created: unixSeconds(),
      model: call.clientModel,
    };
  }

  opening(index: number, { toolCall }: EchoAnswer): ChatStreamEvent {
    if (!toolCall) return this.#chunk(index, { role: 'assistant', content: '', refusal: null }, '');
    const called = { name: toolCall.name, arguments: '' };
    const call = { index: 0, id: toolCall.id, type: 'function' as const, function: called };
    return this.#chunk(
      index,
      { role: 'assistant', content: null, refusal: null, tool_calls: [call] },
      toolCall.name,
    );
  }

  token(index: number, { part, text }: AnswerToken): ChatStreamEvent {
    return this.#chunk(index, deltaOf(part, text), text);
  }

  end(index: number, finishReason: FinishReason): ChatStreamEvent {
    const event = this.#chunk(index, {}, '', finishReason);
    return index === 0 ? { ...event, finishReason } : event;
  }

  usage({ usage }: EchoAnswer): ChatStreamEvent {
    const json = JSON.stringify({ ...this.#envelope, choices: [], usage: toCompletionUsage(usage) });
    return { json, outputText: '', usage, usageOnly: true };
  }

  #chunk(
    index: number,
    delta: ChatDelta,
    outputText: string,
    finishReason: FinishReason | null = null,
  ): ChatStreamEvent {
    const choice = { index, delta, logprobs: null, finish_reason: finishReason };
    return { json: JSON.stringify({ ...this.#envelope, choices: [choice] }), outputText, usageOnly: false };
  }
}

function deltaOf(part: AnswerToken['part'], text: string): ChatDelta {
  switch (part) {
    case 'reasoning':
      return { reasoning_content: text };
    case 'content':
      return { content: text };
    case 'arguments':
      return { tool_calls: [{ index: 0, function: { arguments: text } }] };
  }
}

function completionId(call: ProviderCall): string {
  return `chatcmpl-echo-${call.requestId}`;
}
