import { SseDecoder, type SseDecoderOptions, type SseEvent } from './sse-decoder.js';

/**
 * The events of a byte stream. Iterate once; `return()` (or a `break`) closes the source.
 *
 * An object with `next` and `return` instead of a generator: a generator that was never started runs no `finally`, so
 * its source would stay open.
 *
 * @throws SseTooLargeError  and whatever the source throws; the source is closed in both cases
 */
export function sseEvents(
  source: AsyncIterable<Uint8Array>,
  options?: SseDecoderOptions,
): AsyncIterableIterator<SseEvent, undefined> {
  return new SseEvents(source[Symbol.asyncIterator](), new SseDecoder(options));
}

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };

class SseEvents implements AsyncIterableIterator<SseEvent, undefined> {
  #ready: SseEvent[] = [];
  #position = 0;
  #ended = false;

  constructor(
    private readonly source: AsyncIterator<Uint8Array>,
    private readonly decoder: SseDecoder,
  ) {}

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<SseEvent, undefined>> {
    for (;;) {
      const event = this.#ready[this.#position++];
      if (event) return { done: false, value: event };
      if (this.#ended) return DONE;
      await this.#read();
    }
  }

  async return(): Promise<IteratorReturnResult<undefined>> {
    this.#ready = [];
    if (!this.#ended) {
      this.#ended = true;
      await this.source.return?.();
    }
    return DONE;
  }

  async #read(): Promise<void> {
    try {
      const { done, value } = await this.source.next();
      this.#ended ||= done === true;
      this.#ready = done ? this.decoder.end() : this.decoder.push(value);
      this.#position = 0;
    } catch (error) {
      await this.return();
      throw error;
    }
  }
}
