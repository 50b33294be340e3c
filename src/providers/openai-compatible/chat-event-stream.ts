import type { CallSignal, ChatStreamEvent } from '@app/contracts';
import { SseDecoder, type SseEvent, type SseSink } from '@app/sse';
import { parseJson } from '../translation/parse-json.js';
import {
  MAX_RUN_LENGTH,
  type StreamTranslation,
  TranslatedEvents,
} from '../translation/translated-events.js';
import { ChunkRun } from './chunk-run.js';
import { bodyError, toProviderError } from './openai-compatible.errors.js';
import { asObject } from './openai-compatible.wire.js';

const DONE_DATA = '[DONE]';
/** Some servers put spaces around it. */
const MAX_DONE_LENGTH = 16;
const ERROR_FIELD = 'error:';
/** Longer than any error. */
const MAX_BARE_LENGTH = 65_536;
/** At each line that may end it, all of it is parsed: no error is nested deeper. */
const MAX_BARE_ENDS = 16;
const NONE: ChatStreamEvent[] = [];

/** The data of a stream's events -> the client's. Pure; one for each stream. */
export interface EventTranslator {
  /** Takes one event's data, which is not `[DONE]`. */
  take(json: string, out: ChatStreamEvent[]): void;
  /** Takes whole events that it recognises in the text, see `SseSink.skim`; the client's form of them goes into `run`. */
  skim?(text: string, start: number, run: ChunkRun): number;
  /**
   * @param isDone  by `[DONE]`, and not because the body has ended
   * @throws ProviderError  when the answer is not whole
   */
  finish(out: ChatStreamEvent[], isDone: boolean): void;
  /** Something of the answer has been seen. */
  readonly begun: boolean;
  /** The last event has come, on a wire that has one. */
  readonly complete: boolean;
}

/** The bytes of an event stream -> the client's events. */
export class ChatEventStream extends TranslatedEvents {
  constructor(body: AsyncIterable<Uint8Array>, translator: EventTranslator, signal: CallSignal) {
    super(body, new ChatTranslation(translator, signal));
  }
}

/**
 * Events of OpenAI's dialect. Ordinary chunks, which the translator recognises by their form, are joined as they are read:
 * one object for all that arrived together. Of a stream in packets of four chunks that saves a third of the cost.
 */
class ChatTranslation implements StreamTranslation, SseSink {
  readonly #decoder = new SseDecoder();
  readonly #run = new ChunkRun();
  #out = NONE;
  /** JSON without a field name, up to now: its end has not come. */
  #bare = '';
  #bareEnds = 0;
  #joins = false;
  #complete = false;

  constructor(
    private readonly translator: EventTranslator,
    private readonly signal: CallSignal,
  ) {}

  get complete(): boolean {
    return this.#complete;
  }

  take(bytes: Uint8Array, out: ChatStreamEvent[], joins: boolean): void {
    this.#out = out;
    this.#joins = joins;
    this.#decoder.read(bytes, this);
    // Events that were handed on are not kept until the provider says more.
    this.#out = NONE;
    if (this.#run.length >= MAX_RUN_LENGTH) this.flush(out);
  }

  flush(out: ChatStreamEvent[]): void {
    const run = this.#run.take();
    if (run) out.push(run);
  }

  /** The end of the body. Some servers leave `[DONE]` out, so only the answer itself tells whether it is whole. */
  end(out: ChatStreamEvent[]): void {
    this.#out = out;
    this.#decoder.close(this);
    if (!this.#complete) this.#finish(false);
  }

  /** For the decoder. */
  event({ event, data }: SseEvent): void {
    if (this.#complete || event === 'ping') return;
    this.flush(this.#out);
    if (isDone(data)) this.#finish(true);
    else if (event === 'error') throw this.#namedError(data);
    else {
      this.translator.take(data, this.#out);
      if (this.translator.complete) this.#finish(true);
    }
  }

  /** For the decoder. Older llama.cpp (until late 2025) has errors in a field `error`, other servers as bare JSON. */
  otherLine(line: string): SseEvent | undefined {
    if (line.startsWith(ERROR_FIELD)) return { event: 'error', data: line.slice(ERROR_FIELD.length) };
    const isFirst = this.#bare === '';
    if (isFirst && !line.startsWith('{')) return undefined;
    const data = this.#bare + line;
    const mayEnd = isFirst || line.startsWith('}');
    const isWhole = mayEnd && parseJson(data) !== undefined;
    this.#bareEnds = isFirst ? 0 : this.#bareEnds + Number(mayEnd);
    const isOver = isWhole || data.length > MAX_BARE_LENGTH || this.#bareEnds >= MAX_BARE_ENDS;
    this.#bare = isOver ? '' : data;
    return isWhole ? { data } : undefined;
  }

  /** For the decoder. */
  skim(text: string, start: number): number {
    if (!this.#joins || this.#complete || !this.translator.skim) return start;
    return this.translator.skim(text, start, this.#run);
  }

  judge(error: unknown): Error {
    return toProviderError(error, this.signal);
  }

  #finish(isDone: boolean): void {
    this.translator.finish(this.#out, isDone);
    this.#complete = true;
  }

  #namedError(data: string): Error {
    const body = asObject(parseJson(data));
    return bodyError(body?.error ?? body ?? data, this.translator.begun);
  }
}

function isDone(data: string): boolean {
  return data === DONE_DATA || (data.length < MAX_DONE_LENGTH && data.trim() === DONE_DATA);
}
