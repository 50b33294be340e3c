import type { ChatChunk } from '@app/contracts';
import { expectChatChunk } from './expect-openai.js';

/** One server-sent event as the client got it. */
export interface ReceivedEvent {
  readonly event: string | undefined;
  readonly data: string;
  /** `performance.now()` when its last byte was here. */
  readonly receivedAtMs: number;
}

/**
 * Reads an answer stream event by event. A parser of its own, not the gateway's: it checks that one.
 *
 * @throws what the connection throws when it is cut
 */
export async function* readEvents(response: Response): AsyncGenerator<ReceivedEvent> {
  if (!response.body) return;
  const decoder = new TextDecoder();
  let pending = '';
  for await (const bytes of response.body) {
    pending += decoder.decode(bytes, { stream: true });
    const blocks = pending.split(/\r\n\r\n|\n\n|\r\r/);
    pending = blocks.pop() ?? '';
    for (const block of blocks) yield* parseBlock(block);
  }
  if (pending.trim() !== '') throw new Error(`the stream ended inside an event: ${JSON.stringify(pending)}`);
}

/** Comments (heartbeats) and blocks without data are no events. */
function* parseBlock(block: string): Generator<ReceivedEvent> {
  const data: string[] = [];
  let event: string | undefined;
  for (const line of block.split(/\r\n|\n|\r/)) {
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'data') data.push(value);
    if (field === 'event') event = value;
  }
  if (data.length > 0) yield { event, data: data.join('\n'), receivedAtMs: performance.now() };
}

/** A whole answer stream of the gateway. */
export interface ReceivedStream {
  readonly chunks: ChatChunk[];
  /** An error event of the gateway: the stream did not end well. */
  readonly error: unknown;
  /** `[DONE]` was the last event. */
  readonly done: boolean;
}

/** Reads a stream to its end; every chunk is checked against OpenAI's schema, nothing may follow `[DONE]`. */
export async function readSse(response: Response): Promise<ReceivedStream> {
  const chunks: ChatChunk[] = [];
  let error: unknown;
  let done = false;
  for await (const { data } of readEvents(response)) {
    if (done) throw new Error(`an event after [DONE]: ${data}`);
    if (data === '[DONE]') done = true;
    else {
      const value: unknown = JSON.parse(data);
      const failure = (Object(value) as { error?: unknown }).error;
      if (failure === undefined) chunks.push(expectChatChunk(value));
      else error = failure;
    }
  }
  return { chunks, error, done };
}
