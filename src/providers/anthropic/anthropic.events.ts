import { type CallSignal, type ChatStreamEvent, parseEventJson } from '@app/contracts';
import { SseDecoder, type SseEvent } from '@app/sse';
import { badResponse, toCallError } from './anthropic.errors.js';
import { AnthropicStream, type StreamContext } from './anthropic.stream.js';
import { isEvent, type WireEvent } from './anthropic.wire.js';

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };
/** How long a connection may take to end after `message_stop`, before it is closed instead of used again. */
const DRAIN_MS = 1_000;

/**
 * The bytes of a stream -> chunks. Ends well only after `message_stop`; bytes that end before are a cut stream.
 *
 * Everything translated before a failure is given first, so that the result does not depend on how the bytes arrive.
 *
 * @throws ProviderError  as in anthropic.stream.ts and anthropic.errors.ts; the signal's reason when it was aborted
 */
export class AnthropicEvents implements AsyncIterableIterator<ChatStreamEvent, undefined> {
  readonly #decoder = new SseDecoder();
  readonly #translator: AnthropicStream;
  #ready: ChatStreamEvent[] = [];
  #position = 0;
  #ended = false;
  #failure: { reason: Error } | undefined;

  constructor(
    private readonly source: AsyncIterator<Uint8Array>,
    private readonly context: StreamContext,
    private readonly signal: CallSignal,
  ) {
    this.#translator = new AnthropicStream(context);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<ChatStreamEvent, undefined>> {
    for (;;) {
      const value = this.#ready[this.#position++];
      if (value) return { done: false, value };
      if (this.#failure) throw this.#takeFailure(this.#failure);
      if (this.#ended) return DONE;
      await this.#read();
    }
  }

  /** The reader wants no more: the upstream is closed. */
  async return(): Promise<IteratorReturnResult<undefined>> {
    this.#ready = [];
    this.#failure = undefined;
    if (!this.#ended) {
      this.#ended = true;
      await close(this.source);
    }
    return DONE;
  }

  async #read(): Promise<void> {
    this.#ready = [];
    this.#position = 0;
    try {
      const { done, value } = await this.source.next();
      this.#translate(done ? this.#decoder.end() : this.#decoder.push(value));
      if (this.#translator.stopped) this.#finish(done === true);
      else if (done) throw badResponse('was cut before its end', this.context.providerRequestId);
    } catch (error) {
      this.#failure = { reason: toCallError(error, this.signal) };
      this.#ended = true;
      await close(this.source);
    }
  }

  #translate(events: readonly SseEvent[]): void {
    for (const event of events) {
      if (this.#translator.stopped) return;
      const translated = this.#translator.take(this.#parse(event));
      for (const chunk of translated) this.#ready.push(chunk);
    }
  }

  #parse(event: SseEvent): WireEvent {
    const payload: unknown = parseEventJson(event.data);
    if (isEvent(payload)) return payload;
    throw badResponse('has an event without a type', this.context.providerRequestId);
  }

  #finish(sourceEnded: boolean): void {
    this.#ended = true;
    if (!sourceEnded) drain(this.source);
  }

  #takeFailure({ reason }: { reason: Error }): Error {
    this.#failure = undefined;
    return reason;
  }
}

async function close(source: AsyncIterator<Uint8Array>): Promise<void> {
  try {
    await source.return?.();
  } catch {
    // It is gone already, which is what was wanted.
  }
}

/** Reads what still comes, so that the connection can be used again; nobody waits for it. */
function drain(source: AsyncIterator<Uint8Array>): void {
  const timer = setTimeout(() => void close(source), DRAIN_MS);
  timer.unref();
  void readToEnd(source).finally(() => clearTimeout(timer));
}

async function readToEnd(source: AsyncIterator<Uint8Array>): Promise<void> {
  try {
    while (!(await source.next()).done);
  } catch {
    // Nothing of the answer is lost: it has ended.
  }
}
