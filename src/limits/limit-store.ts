/** Every window is counted in this many buckets: a count stays for the window and at most one bucket more. */
export const BUCKETS_PER_WINDOW = 60;

/** At most `limit` units in any `windowMs`, wherever the window begins. */
export interface WindowRule {
  /** Names the window in keys, headers and metrics; one name has one `windowMs`. */
  readonly name: string;
  readonly limit: number;
  readonly windowMs: number;
}

/** `cost` units asked of one window. */
export interface Charge {
  readonly rule: WindowRule;
  /** Whose window, e.g. the user id. */
  readonly key: string;
  /** Units, integer >= 0. More than `rule.limit` can never be granted. */
  readonly cost: number;
}

/** A window right after the decision. */
export interface WindowState {
  readonly used: number;
  /** Until the oldest counted units leave, i.e. until more becomes available; 0 for an empty window. */
  readonly growsInMs: number;
  /** Until the whole limit is free again if nothing more is asked. */
  readonly emptyInMs: number;
}

export interface Decision {
  readonly allowed: boolean;
  /** Index of the charge whose window refused; -1 when allowed. */
  readonly refusedBy: number;
  /** Until the refused charge fits, if nothing else is granted meanwhile. */
  readonly retryAfterMs: number;
  /** In the order of the charges. */
  readonly windows: readonly WindowState[];
  /** Decided by this process alone because the shared store is away. */
  readonly degraded: boolean;
}

/** One of the requests a user has in flight. */
export interface Slot {
  readonly key: string;
  /** Unique over all instances. */
  readonly holder: string;
}

/** A slot nobody renewed for this long belongs to a dead process. */
export const SLOT_LIFETIME_MS = 15_000;
export const SLOT_RENEWAL_MS = 5_000;

export type MaybePromise<T> = T | Promise<T>;

/**
 * Where counts live. All charges of one `take` are granted together or not at all, and what is refused costs
 * nothing. A store that is at hand answers at once, without a promise.
 */
export interface LimitStore {
  take(charges: readonly Charge[]): MaybePromise<Decision>;
  /** Afterwards, when the real cost is known. @param delta  units too few (> 0) or too many (< 0) were taken */
  correct(charge: Charge, delta: number): MaybePromise<void>;
  acquireSlot(slot: Slot, limit: number): MaybePromise<boolean>;
  releaseSlot(slot: Slot): MaybePromise<void>;
}

export const LIMIT_STORE = Symbol('LIMIT_STORE');
