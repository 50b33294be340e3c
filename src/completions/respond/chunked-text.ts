import type { ServerResponse } from 'node:http';

const LAST_CHUNK = '0\r\n\r\n';

/**
 * An answer's text in pieces, each framed as a chunk here and written as one string. Node would make four writes of a piece
 * and, a tick later, join them into one again.
 */
export class ChunkedText {
  readonly #isFramed: boolean;

  /** @param response  its head is sent, so Node has decided on the framing (HTTP/1.0 has no chunks) */
  constructor(private readonly response: ServerResponse) {
    this.#isFramed = response.chunkedEncoding;
    response.chunkedEncoding = false; // from here on Node frames nothing
  }

  /** @param text  not empty */
  write(text: string): void {
    const { socket } = this.response;
    // A corked socket is written to at once; else Node corks it itself, and waits for the next tick.
    socket?.cork();
    const bytes = Buffer.byteLength(text);
    this.response.write(this.#isFramed ? frame(text, bytes) : text, encodingOf(text, bytes));
    socket?.uncork();
  }

  /** @param text  not empty */
  end(text: string): void {
    const bytes = Buffer.byteLength(text);
    this.response.end(this.#isFramed ? frame(text, bytes) + LAST_CHUNK : text, encodingOf(text, bytes));
  }
}

function frame(text: string, bytes: number): string {
  return `${bytes.toString(16)}\r\n${text}\r\n`;
}

/** Node writes ASCII text faster as latin1. */
function encodingOf(text: string, bytes: number): 'latin1' | 'utf8' {
  return bytes === text.length ? 'latin1' : 'utf8';
}
