import { asBuffer } from './as-buffer.js';

/** Each piece takes some 400 bytes besides its own: 10 MiB in pieces of one byte would take 4 GB. */
const MOST_PIECES = 1_024;

/** Bytes that come in pieces and are wanted as one. However small the pieces, together they take little more than their bytes. */
export class GatheredBytes {
  /** Most come in one piece. */
  #first: Uint8Array | undefined;
  #later: Uint8Array[] | undefined;
  /** How many of the later ones, from the first on, were joined from `MOST_PIECES` each. */
  #joined = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  add(piece: Uint8Array): void {
    this.#length += piece.length;
    if (!this.#first) {
      this.#first = piece;
      return;
    }
    const later = (this.#later ??= []);
    later.push(piece);
    if (later.length - this.#joined < MOST_PIECES) return;
    later.push(Buffer.concat(later.splice(this.#joined)));
    this.#joined += 1;
  }

  /** All of them; what comes from now on is gathered anew. */
  take(): Buffer {
    const first = this.#first ?? Buffer.alloc(0);
    const all = this.#later ? Buffer.concat([first, ...this.#later], this.#length) : asBuffer(first);
    this.#first = this.#later = undefined;
    this.#joined = this.#length = 0;
    return all;
  }
}
