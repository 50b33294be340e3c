import type { Clock } from './resilience.js';

/** The share of the calls of the last ten seconds that may be repeated. */
const SHARE = 0.2;
/** Allowed in any case, so that a single failure of a quiet provider is not final. */
const LEAST = 3;
const SLOTS = 10;
const SLOT_MS = 1000;

/**
 * Bounds what retries add to a provider's load: in any ten seconds at most a fifth of the calls, or three. Backoff
 * spreads the retries of one request; only a budget keeps those of all requests together from becoming the outage.
 */
export class RetryBudget {
  readonly #calls = new Float64Array(SLOTS);
  readonly #retries = new Float64Array(SLOTS);
  #slot = 0;

  constructor(private readonly now: Clock) {}

  /** A request's first call to the provider. */
  noteCall(): void {
    this.#calls[this.#advance()]! += 1;
  }

  /** @returns false when the budget is used up; else one retry is taken from it */
  tryRetry(): boolean {
    const slot = this.#advance();
    if (sum(this.#retries) + 1 > Math.max(LEAST, SHARE * sum(this.#calls))) return false;
    this.#retries[slot]! += 1;
    return true;
  }

  /** Clears the slots that have expired since the last time. */
  #advance(): number {
    const current = Math.floor(this.now() / SLOT_MS);
    const passed = Math.min(SLOTS, current - this.#slot);
    for (let step = 0; step < passed; step++) {
      this.#calls[(current - step) % SLOTS] = 0;
      this.#retries[(current - step) % SLOTS] = 0;
    }
    this.#slot = Math.max(this.#slot, current);
    return this.#slot % SLOTS;
  }
}

function sum(counts: Float64Array): number {
  let total = 0;
  for (const count of counts) total += count;
  return total;
}
