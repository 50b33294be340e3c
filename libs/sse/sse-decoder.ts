import { asBuffer, GatheredBytes } from '@app/bytes';

/** One server-sent event: what its `event:` line said, and its `data:` lines joined by LF. */
export interface SseEvent {
  readonly event?: string | undefined;
  readonly data: string;
}

/** Who gets what a decoder reads, in the order of the bytes. */
export interface SseSink {
  event(event: SseEvent): void;
  /**
   * Whole events may be taken from the text undecoded, where one begins: `start` is its first character, line ends are
   * LF. For a reader who knows what it looks like that saves the decoding.
   *
   * @returns  the index behind the last one taken; `start` for none
   */
  skim?(text: string, start: number): number;
  /**
   * A line that is neither a comment nor `data` nor `event`: servers exist that say more than the format has words for.
   *
   * @returns  the event that it is; one that has only begun is given first
   */
  otherLine?(line: string): SseEvent | undefined;
}

export interface SseDecoderOptions {
  /** Most bytes that one event (its lines, line ends left out) may have. */
  readonly maxEventBytes?: number;
}

/** 8 MiB: a stream that carries a generated image in one event still fits. */
export const DEFAULT_MAX_EVENT_BYTES = 8 * 1024 * 1024;

/** An event grew over the limit: whoever sends it, it is not buffered any further. */
export class SseTooLargeError extends Error {
  override readonly name = 'SseTooLargeError';

  constructor(readonly maxEventBytes: number) {
    super(`a server-sent event is larger than ${maxEventBytes} bytes`);
  }
}

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const COLON = 0x3a;
const SPACE = 0x20;
const BYTE_ORDER_MARK = 0xfeff;
/** Those that may come before the first line count for nothing. */
const BYTE_ORDER_MARK_BYTES = 3;

/**
 * Bytes -> server-sent events, wherever the bytes are cut.
 *
 * Takes LF, CRLF and CR as line ends, skips comments, a byte order mark, and the fields `id` and `retry`.
 * An event without a `data` line is none. The events do not depend on how the bytes were split.
 *
 * @throws SseTooLargeError  from whatever takes bytes or their end; the decoder is of no use afterwards
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
 */
export class SseDecoder {
  readonly #maxEventBytes: number;
  #begun = false;
  /** The last character was a CR, so that an LF to come belongs to the same line end. */
  #afterCarriageReturn = false;
  /** Of a line whose end has not come: bytes, as the last ones may be a part of a character. */
  readonly #unfinished = new GatheredBytes();
  #event: string | undefined;
  #data: string | undefined;
  /** Of the lines of the event so far. */
  #eventBytes = 0;
  /** Every unit of the text at hand is one byte, so that sizes need no counting. */
  #ascii = false;

  constructor(options: SseDecoderOptions = {}) {
    this.#maxEventBytes = options.maxEventBytes ?? DEFAULT_MAX_EVENT_BYTES;
  }

  /** Takes the next bytes and gives the events that they complete. */
  push(chunk: Uint8Array): SseEvent[] {
    const events: SseEvent[] = [];
    this.read(chunk, { event: (event) => events.push(event) });
    return events;
  }

  /** The same, given as it is read. */
  read(chunk: Uint8Array, sink: SseSink): void {
    const end = endOfLines(chunk);
    const isWhole = end === chunk.length;
    if (end > 0) {
      const lines = isWhole ? chunk : chunk.subarray(0, end);
      this.#takeText(this.#decode(this.#withUnfinished(lines)), sink);
    }
    if (isWhole) return;
    this.#unfinished.add(end === 0 ? chunk : chunk.subarray(end));
    this.#demandRoom(this.#unfinished.length - (this.#begun ? 0 : BYTE_ORDER_MARK_BYTES));
  }

  /**
   * The source has ended. Gives the event that only lacks its closing blank line: the specification drops it, but
   * servers exist that close the connection right after their last line.
   */
  end(): SseEvent[] {
    const events: SseEvent[] = [];
    this.close({ event: (event) => events.push(event) });
    return events;
  }

  /** The same, given as it is read. */
  close(sink: SseSink): void {
    if (this.#unfinished.length > 0) this.#takeText(`${this.#decode(this.#unfinished.take())}\n`, sink);
    this.#dispatch(sink);
  }

  #withUnfinished(lines: Uint8Array): Buffer {
    if (this.#unfinished.length === 0) return asBuffer(lines);
    this.#unfinished.add(lines);
    return this.#unfinished.take();
  }

  #decode(bytes: Buffer): string {
    const text = bytes.toString('utf8');
    this.#ascii = text.length === bytes.length;
    return this.#toLineFeeds(this.#withoutByteOrderMark(text));
  }

  #withoutByteOrderMark(text: string): string {
    if (this.#begun || text === '') return text;
    this.#begun = true;
    return text.charCodeAt(0) === BYTE_ORDER_MARK ? text.slice(1) : text;
  }

  #toLineFeeds(text: string): string {
    if (text === '' || (!this.#afterCarriageReturn && !text.includes('\r'))) return text;
    const rest = this.#afterCarriageReturn && text.startsWith('\n') ? text.slice(1) : text;
    this.#afterCarriageReturn = text.endsWith('\r');
    return rest.replace(/\r\n?/g, '\n');
  }

  /** @param text  whole lines */
  #takeText(text: string, sink: SseSink): void {
    let start = 0;
    for (;;) {
      if (sink.skim && this.#eventBytes === 0 && text.length <= this.#maxEventBytes)
        start = sink.skim(text, start);
      const end = text.indexOf('\n', start);
      if (end < 0) break;
      this.#takeLine(text.slice(start, end), sink);
      start = end + 1;
    }
  }

  #takeLine(line: string, sink: SseSink): void {
    this.#eventBytes += this.#ascii ? line.length : Buffer.byteLength(line);
    this.#demandRoom(0);
    if (line === '') this.#dispatch(sink);
    else if (line.startsWith('data')) this.#takeData(line);
    else if (line.startsWith('event')) this.#event = fieldValue(line, 'event') ?? this.#event;
    else if (line.charCodeAt(0) !== COLON) this.#takeOther(sink.otherLine?.(line), sink);
  }

  #takeOther(event: SseEvent | undefined, sink: SseSink): void {
    if (!event) return;
    this.#dispatch(sink);
    sink.event(event);
  }

  #takeData(line: string): void {
    const value = fieldValue(line, 'data');
    if (value === undefined) return;
    this.#data = this.#data === undefined ? value : `${this.#data}\n${value}`;
  }

  #dispatch(sink: SseSink): void {
    if (this.#data !== undefined) {
      sink.event(this.#event ? { event: this.#event, data: this.#data } : { data: this.#data });
    }
    this.#event = undefined;
    this.#data = undefined;
    this.#eventBytes = 0;
  }

  #demandRoom(moreBytes: number): void {
    if (this.#eventBytes + moreBytes > this.#maxEventBytes) throw new SseTooLargeError(this.#maxEventBytes);
  }
}

/** Index behind the last line end; 0 where there is none. */
function endOfLines(bytes: Uint8Array): number {
  const { length } = bytes;
  if (bytes[length - 1] === LINE_FEED) return length;
  return Math.max(bytes.lastIndexOf(LINE_FEED), bytes.lastIndexOf(CARRIAGE_RETURN)) + 1;
}

/** `undefined` when the line is another field that only begins alike (`database: …`). */
function fieldValue(line: string, name: string): string | undefined {
  if (line.length === name.length) return '';
  if (line.charCodeAt(name.length) !== COLON) return undefined;
  const start = name.length + 1;
  return line.slice(line.charCodeAt(start) === SPACE ? start + 1 : start);
}
