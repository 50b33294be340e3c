import { ownText } from '../../text/own-text.js';

/** Pieces with fewer characters than this in total may keep alive what they were cut from. */
const LOOSE_LENGTH = 4_096;
/** V8 copies shorter slices. */
const VIEW_LENGTH = 13;
/** So many pieces may be views of what they were cut from. */
const LOOSE_VIEWS = 4;

/**
 * The text of a stream, piece by piece.
 *
 * A piece may be a view of its chunk (`ownText`), so a long answer would keep all its chunks alive, which are many times as
 * long. So every few pieces are copied into one text.
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
