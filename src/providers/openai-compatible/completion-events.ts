import type { ChatCompletion, ChatStreamEvent } from '@app/contracts';
import { ChatStreamTranslator, type StreamContext } from './openai-compatible.stream.js';
import type { WireObject } from './openai-compatible.wire.js';

/** A whole answer as the stream that was asked for: one chunk for the text, one for the end, one for the usage. */
export async function* completionEvents(
  completion: ChatCompletion,
  context: StreamContext,
): AsyncGenerator<ChatStreamEvent, undefined> {
  const translator = new ChatStreamTranslator(context);
  const events: ChatStreamEvent[] = [];
  for (const chunk of chunksOf(completion)) translator.takeChunk(chunk, events);
  translator.finish(events, true);
  yield* events;
}

function chunksOf(completion: ChatCompletion): WireObject[] {
  const { choices, usage, ...envelope } = completion;
  const spoken = choices.map(({ message, finish_reason: _reason, ...choice }) => ({
    ...choice,
    delta: { ...message, ...withIndexes(message.tool_calls) },
    finish_reason: null,
  }));
  const ended = choices.map(({ index, finish_reason }) => ({ index, delta: {}, finish_reason }));
  const chunks: WireObject[] = [
    { ...envelope, choices: spoken },
    { ...envelope, choices: ended },
  ];
  if (usage) chunks.push({ ...envelope, choices: [], usage });
  return chunks;
}

function withIndexes(calls: ChatCompletion['choices'][number]['message']['tool_calls']): object {
  return calls ? { tool_calls: calls.map((call, index) => ({ index, ...call })) } : {};
}
