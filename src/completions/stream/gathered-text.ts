import { ownText } from '../../text/own-text.js';

/** Pieces of fewer characters than this altogether may keep alive what they were cut from. */
const LOOSE_LENGTH = 4_096;
/** V8 copies what is shorter than this when it cuts it off. */
const VIEW_LENGTH = 13;
/** As many pieces may be views of what they were cut from. */
const LOOSE_VIEWS = 4;

/**
 * The text of a stream, piece by piece.
 *
 * A piece may be a view of the chunk that it came in (`ownText`), and a long answer would keep all of its chunks alive,
 * many times its own length. Every few of them the pieces are made one text of their own.
 */
export class GatheredText {
  #packed = '';
  #loose = '';
  #views = 0;

  add(piece: string): void {
    this.#loose += piece;
    if (piece.length >= VIEW_LENGTH) this.#views += 1;
    if (this.#views >= LOOSE_VIEWS || this.#loose.length >= LOOSE_LENGTH) this.#pack();
  }

  toString(): string {
    return this.#packed + this.#loose;
  }

  #pack(): void {
    this.#packed += ownText(this.#loose);
    this.#loose = '';
    this.#views = 0;
  }
}
