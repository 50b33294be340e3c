import type { ChatStreamEvent } from '@app/contracts';
import { SseDecoder, SseTooLargeError, type SseEvent } from '@app/sse';
import { badResponse, bodyError, toProviderError } from './openai-compatible.errors.js';
import { asObject, parseJson } from './openai-compatible.wire.js';

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };
/** How long a finished stream may take to close, so that its connection can be used again. */
const CLOSING_GRACE_MS = 1_000;

/** The data of a stream's events -> the client's. Pure; one for each stream. */
export interface EventTranslator {
  /** Takes one event's data, which is not `[DONE]`. */
  take(json: string, out: ChatStreamEvent[]): void;
  /** `[DONE]`, or the end of the body. Throws when the answer is not whole. */
  finish(out: ChatStreamEvent[]): void;
  /** Something of the answer has been seen. */
  readonly begun: boolean;
  /** The wire said that nothing is to come. */
  readonly complete: boolean;
}

/**
 * The bytes of an event stream -> the client's events. Iterate once; `return()` closes the upstream.
 *
 * An object with `next` and `return`, not a generator: one that was never started would run no `finally`. What was
 * decoded before a failure is given before it.
 */
export class ChatEventStream implements AsyncIterableIterator<ChatStreamEvent, undefined> {
  readonly #source: AsyncIterator<Uint8Array>;
  readonly #decoder = new SseDecoder();
  #ready: ChatStreamEvent[] = [];
  #position = 0;
  #failure: { reason: unknown } | undefined;
  #ended = false;

  constructor(
    body: AsyncIterable<Uint8Array>,
    private readonly translator: EventTranslator,
    private readonly signal: AbortSignal,
  ) {
    this.#source = body[Symbol.asyncIterator]();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<ChatStreamEvent, undefined>> {
    for (;;) {
      const event = this.#ready[this.#position++];
      if (event) return { done: false, value: event };
      if (this.#failure) throw this.#takeFailure();
      if (this.#ended) return DONE;
      await this.#read();
    }
  }

  takeReady(): ChatStreamEvent | undefined {
    return this.#ready[this.#position] && this.#ready[this.#position++];
  }

  async return(): Promise<IteratorReturnResult<undefined>> {
    this.#ready = [];
    this.#failure = undefined;
    if (!this.#ended) {
      this.#ended = true;
      await this.#source.return?.();
    }
    return DONE;
  }

  async #read(): Promise<void> {
    this.#ready = [];
    this.#position = 0;
    try {
      const { done, value } = await this.#source.next();
      if (done) this.#takeEnd();
      else this.#takeEvents(this.#decoder.push(value));
    } catch (error) {
      await this.#fail(error);
    }
  }

  #takeEvents(events: SseEvent[]): void {
    for (const event of events) {
      if (this.#ended) return;
      if (event.data === '[DONE]') this.#finish();
      else if (event.event === 'error') throw this.#namedError(event.data);
      else this.#takeEvent(event.data);
    }
  }

  #takeEvent(data: string): void {
    this.translator.take(data, this.#ready);
    if (this.translator.complete) this.#finish();
  }

  /** The end of the body. Some servers leave `[DONE]` out, so that only the answer itself says whether it is whole. */
  #takeEnd(): void {
    this.#takeEvents(this.#decoder.end());
    if (this.#ended) return;
    this.translator.finish(this.#ready);
    this.#ended = true;
  }

  #finish(): void {
    this.translator.finish(this.#ready);
    this.#ended = true;
    void closeGently(this.#source);
  }

  #namedError(data: string): Error {
    const body = asObject(parseJson(data));
    return bodyError(body?.error ?? body ?? data, this.translator.begun);
  }

  async #fail(error: unknown): Promise<void> {
    this.#failure = { reason: this.#judge(error) };
    this.#ended = true;
    await this.#source.return?.();
  }

  #judge(error: unknown): Error {
    if (error instanceof SseTooLargeError)
      return badResponse('The provider sent an event that is too large.', error);
    return toProviderError(error, this.signal);
  }

  #takeFailure(): unknown {
    const reason = this.#failure?.reason;
    this.#failure = undefined;
    return reason;
  }
}

/** Reads on to the body's end, which frees the connection for the next call; closes it when that takes long. */
async function closeGently(source: AsyncIterator<Uint8Array>): Promise<void> {
  const timer = setTimeout(() => void source.return?.(), CLOSING_GRACE_MS);
  timer.unref();
  try {
    while (!(await source.next()).done);
  } catch {
    // The answer was complete; how its connection ends is of no interest.
  } finally {
    clearTimeout(timer);
  }
}
