import { type Placed, PlacedList } from '../../edge/placed-list.js';

/** How long a request may go on when its time is over: it reads on to the provider's count, and settles. */
export const AFTERLIFE_MS = 600_000;

/** A request that holds money. */
export interface HoldingSession extends Placed {
  readonly billingId: string;
  /** When it began to hold, `performance.now()`. */
  heldSinceMs: number;
}

/** The requests that hold money and run. */
export class HoldingSessions {
  readonly #sessions = new PlacedList<HoldingSession>();

  get size(): number {
    return this.#sessions.size;
  }

  add(session: HoldingSession): void {
    session.heldSinceMs = performance.now();
    this.#sessions.add(session);
  }

  /** Nothing happens to one that is not there. */
  remove(session: HoldingSession): void {
    this.#sessions.remove(session);
  }

  /** @param sinceMs  of those only that began to hold after this, `performance.now()` */
  ids(sinceMs = -Infinity): string[] {
    return this.#sessions.items
      .filter(({ heldSinceMs }) => heldSinceMs > sinceMs)
      .map(({ billingId }) => billingId);
  }
}
