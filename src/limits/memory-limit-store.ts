import type { Charge, Decision, LimitStore, Slot } from './limit-store.js';
import { SlotTable } from './slot-table.js';
import { WindowTable } from './window-table.js';

/**
 * The limits of one process. Exact, atomic (nothing runs in between) and O(1) a check. Time is monotonic, so a
 * clock that is set moves no window.
 */
export class MemoryLimitStore implements LimitStore {
  readonly #windows: WindowTable;
  readonly #slots = new SlotTable();

  constructor(
    private readonly now: () => number = () => performance.now(),
    maxWindowsPerRule?: number,
  ) {
    this.#windows = new WindowTable(maxWindowsPerRule);
  }

  take(charges: readonly Charge[]): Decision {
    const nowMs = this.now();
    const refusedBy = charges.findIndex(
      (charge) => this.#used(charge, nowMs) + charge.cost > charge.rule.limit,
    );
    const allowed = refusedBy === -1;
    if (allowed) for (const { rule, key, cost } of charges) this.#windows.add(rule, key, nowMs, cost);
    return {
      allowed,
      refusedBy,
      retryAfterMs: allowed ? 0 : this.#retryAfterMs(charges[refusedBy]!, nowMs),
      windows: charges.map(({ rule, key }) => this.#windows.find(rule, key, nowMs)?.state(nowMs) ?? EMPTY),
      degraded: false,
    };
  }

  correct({ rule, key }: Charge, delta: number): void {
    const nowMs = this.now();
    if (delta > 0) this.#windows.add(rule, key, nowMs, delta);
    else this.#windows.find(rule, key, nowMs)?.removeOldest(-delta);
  }

  acquireSlot(slot: Slot, limit: number): boolean {
    return this.#slots.acquire(slot, limit, this.now());
  }

  renewSlots(slots: readonly Slot[]): void {
    for (const slot of slots) this.#slots.hold(slot, this.now());
  }

  releaseSlot(slot: Slot): void {
    this.#slots.release(slot);
  }

  /** Windows in memory. */
  get size(): number {
    return this.#windows.size;
  }

  #used({ rule, key }: Charge, nowMs: number): number {
    return this.#windows.find(rule, key, nowMs)?.sum ?? 0;
  }

  #retryAfterMs(charge: Charge, nowMs: number): number {
    const window = this.#windows.find(charge.rule, charge.key, nowMs);
    return window?.freesInMs(nowMs, window.sum + charge.cost - charge.rule.limit) ?? 0;
  }
}

const EMPTY = Object.freeze({ used: 0, growsInMs: 0, emptyInMs: 0 });
