/** Takes HTTP's chunked framing off, as the bytes come: a gateway may cut chunks, and the network packets, anywhere. */
export class ChunkedBody {
  readonly #onData: (bytes: Buffer) => void;
  /** Of the chunk that is being read, its closing CRLF included; 0 = the next size line is due. */
  #left = 0;
  #sizeLine = '';
  #isOver = false;

  constructor(onData: (bytes: Buffer) => void) {
    this.#onData = onData;
  }

  /** @returns whether the body has ended */
  take(bytes: Buffer): boolean {
    let at = 0;
    while (at < bytes.length) {
      if (this.#left === 0) {
        const end = bytes.indexOf(LF, at);
        this.#sizeLine += bytes.toString('latin1', at, end < 0 ? bytes.length : end);
        if (end < 0) break;
        at = end + 1;
        this.#readSize();
      } else {
        const end = Math.min(bytes.length, at + this.#left);
        const dataEnd = Math.min(end, at + this.#left - CRLF_LENGTH);
        if (dataEnd > at && !this.#isOver) this.#onData(bytes.subarray(at, dataEnd));
        this.#left -= end - at;
        at = end;
        if (this.#isOver && this.#left === 0) return true;
      }
    }
    return false;
  }

  #readSize(): void {
    const size = Number.parseInt(this.#sizeLine, 16);
    this.#sizeLine = '';
    this.#isOver = size === 0;
    this.#left = size + CRLF_LENGTH;
  }
}

const LF = 10;
const CRLF_LENGTH = 2;
