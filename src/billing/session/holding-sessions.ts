/** A request that holds money. */
export interface HoldingSession {
  readonly billingId: string;
  /** When it began to hold, `performance.now()`. */
  heldSinceMs: number;
  /** Its place among those that hold; -1 for none. */
  holdingPlace: number;
}

/**
 * The requests that hold money and run. An array in which each knows its place: a map that has an entry added and
 * removed for every request is built anew again and again, and its old tables keep alive what they held.
 */
export class HoldingSessions {
  readonly #sessions: HoldingSession[] = [];

  get size(): number {
    return this.#sessions.length;
  }

  add(session: HoldingSession): void {
    session.heldSinceMs = performance.now();
    session.holdingPlace = this.#sessions.push(session) - 1;
  }

  /** The last one takes its place. Nothing happens to one that is not there. */
  remove(session: HoldingSession): void {
    const { holdingPlace } = session;
    if (holdingPlace < 0) return;
    session.holdingPlace = -1;
    const last = this.#sessions.pop();
    if (!last || last === session) return;
    last.holdingPlace = holdingPlace;
    this.#sessions[holdingPlace] = last;
  }

  ids(): string[] {
    return this.#sessions.map((session) => session.billingId);
  }

  idsSince(oldestMs: number): string[] {
    return this.#sessions
      .filter((session) => session.heldSinceMs > oldestMs)
      .map(({ billingId }) => billingId);
  }
}
