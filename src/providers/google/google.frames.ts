import { GatheredBytes } from '@app/bytes';
import { DEFAULT_MAX_EVENT_BYTES, SseDecoder, SseTooLargeError } from '@app/sse';

type Found = (json: string) => void;

interface Reader {
  read(bytes: Uint8Array, found: Found): void;
  end(): string[];
}

/**
 * Bytes of a streamed answer -> one JSON text per chunk, wherever the bytes are cut.
 *
 * The first byte decides the format: server-sent events (which we ask for), one JSON array in pieces (which Google sends without
 * `alt=sse`, and some proxies always do), or a single JSON object (an error).
 *
 * @throws SseTooLargeError  for an object that is too large, in any format
 */
export class GeminiFrames {
  #reader: Reader | undefined;

  /** @param found  called with each text as soon as it is complete, so that nothing before an error is lost */
  read(bytes: Uint8Array, found: Found): void {
    this.#reader ??= chooseReader(bytes);
    this.#reader?.read(bytes, found);
  }

  end(): string[] {
    return this.#reader?.end() ?? [];
  }
}

const SQUARE_OPEN = 0x5b;
const SQUARE_CLOSE = 0x5d;
const CURLY_OPEN = 0x7b;
const CURLY_CLOSE = 0x7d;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const BLANKS = new Set([0x20, 0x09, 0x0a, 0x0d, 0xef, 0xbb, 0xbf]);

function chooseReader(bytes: Uint8Array): Reader | undefined {
  const first = bytes.find((byte) => !BLANKS.has(byte));
  if (first === undefined) return undefined;
  return first === SQUARE_OPEN || first === CURLY_OPEN ? new JsonObjects() : new SseFrames();
}

class SseFrames implements Reader {
  readonly #decoder = new SseDecoder();

  read(bytes: Uint8Array, found: Found): void {
    this.#decoder.read(bytes, { event: ({ data }) => found(data) });
  }

  end(): string[] {
    return this.#decoder.end().map((event) => event.data);
  }
}

/**
 * The outermost objects of a JSON text: elements of an array, or one object alone.
 *
 * Works on bytes: in UTF-8, quotes, braces and backslashes are single bytes that never occur in another character.
 */
class JsonObjects implements Reader {
  #depth = 0;
  #inString = false;
  #escaped = false;
  readonly #bytes = new GatheredBytes();

  read(bytes: Uint8Array, found: Found): void {
    let start = this.#depth > 0 ? 0 : -1;
    for (let i = 0; i < bytes.length; i++) {
      const step = this.#step(bytes[i] ?? 0);
      if (step === 'opened') start = i;
      if (step === 'closed') {
        this.#keep(bytes.subarray(start, i + 1));
        found(this.#bytes.take().toString('utf8'));
        start = -1;
      }
    }
    if (start >= 0) this.#keep(bytes.subarray(start));
  }

  /** An object that was cut off is not one. */
  end(): string[] {
    return [];
  }

  #step(byte: number): 'opened' | 'closed' | undefined {
    if (this.#inString) return this.#stepInString(byte);
    if (byte === QUOTE) this.#inString = true;
    else if (byte === CURLY_OPEN || (byte === SQUARE_OPEN && this.#depth > 0)) {
      return this.#depth++ === 0 ? 'opened' : undefined;
    } else if (byte === CURLY_CLOSE || (byte === SQUARE_CLOSE && this.#depth > 0)) {
      return --this.#depth === 0 ? 'closed' : undefined;
    }
    return undefined;
  }

  #stepInString(byte: number): undefined {
    if (this.#escaped) this.#escaped = false;
    else if (byte === BACKSLASH) this.#escaped = true;
    else if (byte === QUOTE) this.#inString = false;
  }

  #keep(bytes: Uint8Array): void {
    this.#bytes.add(bytes);
    if (this.#bytes.length > DEFAULT_MAX_EVENT_BYTES) throw new SseTooLargeError(DEFAULT_MAX_EVENT_BYTES);
  }
}
