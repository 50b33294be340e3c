import { type CallSignal, type ChatStreamEvent, type ReadyEvents, readyEventsOf } from '@app/contracts';
import { SseDecoder, type SseEvent, type SseSink } from '@app/sse';
import { ChunkRun } from './chunk-run.js';
import { bodyError, toProviderError } from './openai-compatible.errors.js';
import { asObject, parseJson } from './openai-compatible.wire.js';

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };
const DONE_DATA = '[DONE]';
/** With the spaces that some servers put around it. */
const MAX_DONE_LENGTH = 16;
/** How long a finished stream may take to close, so that its connection can be used again. */
const CLOSING_GRACE_MS = 1_000;
/** A run this long, in characters, goes its way before more is joined to it. */
const MAX_RUN_LENGTH = 16 * 1024;

/** The data of a stream's events -> the client's. Pure; one for each stream. */
export interface EventTranslator {
  /** Takes one event's data, which is not `[DONE]`. */
  take(json: string, out: ChatStreamEvent[]): void;
  /** Takes whole events that it knows from the text, see `SseSink.skim`; what they say to the client goes into `run`. */
  skim?(text: string, start: number, run: ChunkRun): number;
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
 *
 * Whoever takes events by `takeReady` gets what came together as one: as many bytes as are there are read at once, and
 * the ordinary chunks in them, which the translator knows by their look, make one run: a promise and an object for all of
 * them, not for each. It took a third off the cost of a stream in packets of four chunks.
 */
export class ChatEventStream
  implements AsyncIterableIterator<ChatStreamEvent, undefined>, ReadyEvents<ChatStreamEvent>, SseSink
{
  readonly #source: AsyncIterator<Uint8Array>;
  readonly #packets: ReadyEvents<Uint8Array>;
  readonly #decoder = new SseDecoder();
  #ready: ChatStreamEvent[] = [];
  #position = 0;
  readonly #run = new ChunkRun();
  #makesRuns = false;
  #failure: { reason: unknown } | undefined;
  #ended = false;

  constructor(
    body: AsyncIterable<Uint8Array>,
    private readonly translator: EventTranslator,
    private readonly signal: CallSignal,
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
      if (this.#failure) throw this.#takeFailure();
      if (this.#ended) return DONE;
      await this.#read();
    }
  }

  takeReady(): ChatStreamEvent | undefined {
    const event = this.#shift();
    if (event || this.#ended) return event;
    this.#makesRuns = true;
    this.#readReady();
    this.#makesRuns = false;
    if (this.#ready.length === 0) return this.#run.take();
    this.#endRun();
    return this.#shift();
  }

  whenReady(wake: () => void): boolean {
    return !this.#ended && this.#position >= this.#ready.length && this.#packets.whenReady(wake);
  }

  /** For the decoder. */
  event({ event, data }: SseEvent): void {
    if (this.#ended) return;
    this.#endRun();
    if (isDone(data)) this.#finish();
    else if (event === 'error') throw this.#namedError(data);
    else this.#takeData(data);
  }

  /** For the decoder. */
  skim(text: string, start: number): number {
    if (!this.#makesRuns || this.#ended || !this.translator.skim) return start;
    return this.translator.skim(text, start, this.#run);
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
    if (event) this.#position += 1;
    else if (this.#position > 0) {
      this.#ready = [];
      this.#position = 0;
    }
    return event;
  }

  async #read(): Promise<void> {
    try {
      const { done, value } = await this.#source.next();
      if (done) this.#takeEnd();
      else this.#takeBytes(value);
    } catch (error) {
      this.#fail(error);
    }
  }

  #readReady(): void {
    while (!this.#ended && this.#ready.length === 0 && this.#run.length < MAX_RUN_LENGTH) {
      const bytes = this.#packets.takeReady();
      if (!bytes) break;
      this.#takeBytes(bytes);
    }
  }

  #takeBytes(bytes: Uint8Array): void {
    try {
      this.#decoder.read(bytes, this);
    } catch (error) {
      this.#fail(error);
    }
  }

  #endRun(): void {
    const run = this.#run.take();
    if (run) this.#ready.push(run);
  }

  #takeData(data: string): void {
    this.translator.take(data, this.#ready);
    if (this.translator.complete) this.#finish();
  }

  /** The end of the body. Some servers leave `[DONE]` out, so that only the answer itself says whether it is whole. */
  #takeEnd(): void {
    for (const event of this.#decoder.end()) this.event(event);
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

  #fail(error: unknown): void {
    this.#failure = { reason: this.#judge(error) };
    this.#ended = true;
    this.#source.return?.().catch(() => undefined);
  }

  #judge(error: unknown): Error {
    return toProviderError(error, this.signal);
  }

  #takeFailure(): unknown {
    const reason = this.#failure?.reason;
    this.#failure = undefined;
    return reason;
  }
}

function isDone(data: string): boolean {
  return data === DONE_DATA || (data.length < MAX_DONE_LENGTH && data.trim() === DONE_DATA);
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
