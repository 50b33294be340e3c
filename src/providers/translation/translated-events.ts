import { type ChatStreamEvent, type ReadyEvents, readyEventsOf, RUN_SEPARATOR } from '@app/contracts';

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };
/** How long a finished stream may take to close, so that its connection can be used again. */
const CLOSING_GRACE_MS = 1_000;
/** A run this long, in characters, goes its way before more is joined to it. */
export const MAX_RUN_LENGTH = 16 * 1024;
/** Whether there is money for more is asked behind each run. */
const MAX_RUN_TEXT = 2 * 1024;

/** What a vendor makes of the bytes of one stream. Pure. */
export interface StreamTranslation {
  /** The wire said that nothing is to come. */
  readonly complete: boolean;
  /**
   * Adds to `out` what these bytes say to the client. What was added before it throws is still given.
   *
   * @param joins  whoever reads takes several chunks as one event
   */
  take(bytes: Uint8Array, out: ChatStreamEvent[], joins: boolean): void;
  /** All bytes that are there have been taken: what was kept back to be joined goes now. */
  flush?(out: ChatStreamEvent[]): void;
  /** The body has ended. Throws when the answer is not whole. */
  end(out: ChatStreamEvent[]): void;
  /** What broke the stream, as everybody above knows it. */
  judge(error: unknown): Error;
}

/**
 * The bytes of a provider's stream -> the client's events. Iterate once; `return()` closes the upstream.
 *
 * An object with `next` and `return`, not a generator: one that was never started would run no `finally`. What was
 * translated before a failure is given before it, so that the result does not depend on how the bytes arrive.
 *
 * Whoever takes events by `takeReady` gets what came together as one: the ordinary chunks of a packet make one run, a promise
 * and an object for all of them, not for each; of OpenAI's dialect those of all packets that are there.
 */
export class TranslatedEvents
  implements AsyncIterableIterator<ChatStreamEvent, undefined>, ReadyEvents<ChatStreamEvent>
{
  readonly #source: AsyncIterator<Uint8Array>;
  readonly #packets: ReadyEvents<Uint8Array>;
  #ready: ChatStreamEvent[] = [];
  #position = 0;
  #failure: { readonly reason: Error } | undefined;
  #ended = false;

  constructor(
    body: AsyncIterable<Uint8Array>,
    private readonly translation: StreamTranslation,
  ) {
    this.#source = body[Symbol.asyncIterator]();
    this.#packets = readyEventsOf(this.#source);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<ChatStreamEvent, undefined>> {
    for (;;) {
      const event = this.#shift();
      if (event) return { done: false, value: event };
      if (this.#failure) throw this.#takeFailure(this.#failure);
      if (this.#ended) return DONE;
      await this.#read();
    }
  }

  takeReady(): ChatStreamEvent | undefined {
    const event = this.#shiftRun();
    if (event || this.#ended) return event;
    this.#readReady();
    return this.#shiftRun();
  }

  whenReady(wake: () => void): boolean {
    return !this.#ended && this.#position >= this.#ready.length && this.#packets.whenReady(wake);
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

  #shift(): ChatStreamEvent | undefined {
    const event = this.#ready[this.#position];
    if (!event) return undefined;
    this.#position += 1;
    if (this.#position === this.#ready.length) {
      // At once: a stream waits long for what comes next, and would keep it so long.
      this.#ready.length = 0;
      this.#position = 0;
    }
    return event;
  }

  /** The next event, with the ordinary ones behind it. */
  #shiftRun(): ChatStreamEvent | undefined {
    const first = this.#shift();
    if (!first || !isOrdinary(first)) return first;
    let { json, outputText, usage } = first;
    for (;;) {
      const next = this.#ready[this.#position];
      if (!next || !isOrdinary(next) || json.length >= MAX_RUN_LENGTH || outputText.length >= MAX_RUN_TEXT)
        break;
      this.#shift();
      json += RUN_SEPARATOR + next.json;
      outputText += next.outputText;
      usage = next.usage ?? usage;
    }
    return json === first.json
      ? first
      : { json, outputText, usage, usageOnly: false, finishReason: undefined };
  }

  async #read(): Promise<void> {
    try {
      const { done, value } = await this.#source.next();
      if (done) this.#takeEnd();
      else this.#takeBytes(value, false);
    } catch (error) {
      this.#fail(error);
    }
  }

  #readReady(): void {
    while (!this.#ended && this.#ready.length === 0) {
      const bytes = this.#packets.takeReady();
      if (!bytes) break;
      this.#takeBytes(bytes, true);
    }
    this.translation.flush?.(this.#ready);
  }

  #takeBytes(bytes: Uint8Array, joins: boolean): void {
    try {
      this.translation.take(bytes, this.#ready, joins);
    } catch (error) {
      this.#fail(error);
      return;
    }
    if (!this.translation.complete) return;
    this.#ended = true;
    void closeGently(this.#source);
  }

  #takeEnd(): void {
    this.translation.end(this.#ready);
    this.#ended = true;
  }

  #fail(error: unknown): void {
    this.#failure = { reason: this.translation.judge(error) };
    this.#ended = true;
    this.#source.return?.().catch(() => undefined);
  }

  #takeFailure({ reason }: { readonly reason: Error }): Error {
    this.#failure = undefined;
    return reason;
  }
}

/** It says nothing but more of the answer. */
function isOrdinary({ usageOnly, finishReason }: ChatStreamEvent): boolean {
  return !usageOnly && finishReason === undefined;
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
