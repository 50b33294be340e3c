/** Pieces of fewer characters than this altogether may keep alive what they were cut from. */
const LOOSE_LENGTH = 4_096;

/**
 * The text of a stream, piece by piece.
 *
 * A piece is mostly a view of the chunk that it came in: V8 cuts no copy from a text, and so a long answer would keep all
 * of its chunks alive, many times its own length. Every few kilobytes the pieces are made one text of their own.
 */
export class GatheredText {
  #packed = '';
  #loose = '';

  add(piece: string): void {
    this.#loose += piece;
    if (this.#loose.length >= LOOSE_LENGTH) this.#pack();
  }

  toString(): string {
    return this.#packed + this.#loose;
  }

  #pack(): void {
    // UTF-16, since a piece may end in the middle of a character of two units.
    this.#packed += Buffer.from(this.#loose, 'utf16le').toString('utf16le');
    this.#loose = '';
  }
}
