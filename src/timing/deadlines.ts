/** Something that has a deadline in one list at most. All but `onDue` is the list's. */
export interface Timed {
  dueAtMs: number;
  /** Its place in the list: when it is looked at, which is earlier than `dueAtMs` if that was postponed. */
  checkAtMs: number;
  earlier: Timed | undefined;
  later: Timed | undefined;
  /** The deadline has come; it is in no list any more. */
  onDue(): void;
}

/**
 * Deadlines of one kind, with one Node timer for all of them. An open stream has three, and moves two of them with
 * every chunk: a timer for each, with its closure, would cost a quarter of a kilobyte.
 *
 * A deadline that is postponed keeps its place in the list until its old time has come, so a chunk costs only one
 * assignment. A new entry looks for its place from the end of the list: this is for deadlines that fall due in roughly the
 * order in which they are set, as when all have the same delay.
 */
export class Deadlines {
  /** Both ends of the ring. */
  readonly #ends: Timed = {
    dueAtMs: 0,
    checkAtMs: 0,
    earlier: undefined,
    later: undefined,
    onDue: () => undefined,
  };
  #timer: NodeJS.Timeout | undefined;
  #timerAtMs = 0;

  constructor() {
    this.#ends.earlier = this.#ends.later = this.#ends;
  }

  /** Sets the deadline, or moves it. */
  set(timed: Timed, inMs: number): void {
    timed.dueAtMs = Math.ceil(performance.now() + inMs);
    if (timed.later && timed.dueAtMs >= timed.checkAtMs) return;
    unlink(timed);
    this.#place(timed);
    if (!this.#timer || timed.checkAtMs < this.#timerAtMs) this.#arm();
  }

  /** Nothing happens to what has none. */
  clear(timed: Timed): void {
    unlink(timed);
    if (this.#ends.later !== this.#ends) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #place(timed: Timed): void {
    timed.checkAtMs = timed.dueAtMs;
    let before = this.#ends.earlier!;
    while (before !== this.#ends && before.checkAtMs > timed.checkAtMs) before = before.earlier!;
    link(timed, before);
  }

  #arm(): void {
    clearTimeout(this.#timer);
    this.#timerAtMs = this.#ends.later!.checkAtMs;
    // Node's longest delay; when it is over and nothing is due, the rest is waited for.
    const inMs = Math.min(Math.max(1, this.#timerAtMs - performance.now()), 2 ** 31 - 1);
    this.#timer = setTimeout(() => this.#fire(), Math.ceil(inMs));
  }

  #fire(): void {
    this.#timer = undefined;
    const nowMs = performance.now();
    try {
      for (;;) {
        const next = this.#ends.later!;
        if (next === this.#ends || next.checkAtMs > nowMs) break;
        unlink(next);
        if (next.dueAtMs > nowMs) this.#place(next);
        else next.onDue();
      }
    } finally {
      if (this.#ends.later !== this.#ends && !this.#timer) this.#arm();
    }
  }
}

function link(timed: Timed, before: Timed): void {
  timed.earlier = before;
  timed.later = before.later;
  before.later!.earlier = timed;
  before.later = timed;
}

function unlink(timed: Timed): void {
  if (!timed.later) return;
  timed.earlier!.later = timed.later;
  timed.later.earlier = timed.earlier;
  timed.earlier = timed.later = undefined;
}
