/** Knows its own index in the list that it is in. */
export interface Placed {
  place: number;
}

/**
 * An unordered list, for what is added and removed with every request. Not a Map or a Set: under constant adding and
 * removing they rebuild their table now and then, and the old tables keep their entries (whole requests) alive until
 * the next full collection.
 */
export class PlacedList<Item extends Placed> {
  readonly #items: Item[] = [];

  get size(): number {
    return this.#items.length;
  }

  get items(): readonly Item[] {
    return this.#items;
  }

  add(item: Item): void {
    item.place = this.#items.push(item) - 1;
  }

  /** The last one takes its place. Nothing happens to one that is not there. */
  remove(item: Item): void {
    if (this.#items[item.place] !== item) return;
    const last = this.#items.pop()!;
    if (last === item) return;
    last.place = item.place;
    this.#items[item.place] = last;
  }
}
