import type { Charge, Decision, LimitStore, Slot, WindowState } from './limit-store.js';
import type { SlidingWindow } from './sliding-window.js';
import { SlotTable } from './slot-table.js';
import { WindowTable } from './window-table.js';

/**
 * The limits of one process. Exact, atomic (nothing runs in between) and O(1) a check. Time is monotonic, so a
 * clock that is set moves no window.
 */
export class MemoryLimitStore implements LimitStore {
  readonly #windows: WindowTable;
  readonly #slots: SlotTable;

  /** @param slotLifetimeMs  of a slot that is not renewed; for other processes, which may die with theirs */
  constructor(
    private readonly now: () => number = () => performance.now(),
    maxWindowsPerRule?: number,
    slotLifetimeMs?: number,
  ) {
    this.#windows = new WindowTable(maxWindowsPerRule);
    this.#slots = new SlotTable(slotLifetimeMs);
  }

  /** Every window is looked up once: a table of many users is in no processor's cache. */
  take(charges: readonly Charge[]): Decision {
    const nowMs = this.now();
    const found = charges.map(({ rule, key }) => this.#windows.find(rule, key, nowMs));
    const refusedBy = charges.findIndex(
      ({ rule, cost }, index) => (found[index]?.sum ?? 0) + cost > rule.limit,
    );
    if (refusedBy !== -1) {
      const retryAfterMs = freesInMs(found[refusedBy], charges[refusedBy]!, nowMs);
      return { allowed: false, refusedBy, retryAfterMs, windows: statesOf(found, nowMs), degraded: false };
    }
    for (let index = 0; index < charges.length; index += 1) {
      const { rule, key, cost } = charges[index]!;
      found[index] = this.#windows.add(rule, key, nowMs, cost, found[index]);
    }
    return { allowed: true, refusedBy, retryAfterMs: 0, windows: statesOf(found, nowMs), degraded: false };
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
}

type Found = SlidingWindow | undefined;

function freesInMs(window: Found, { rule, cost }: Charge, nowMs: number): number {
  return window?.freesInMs(nowMs, window.sum + cost - rule.limit) ?? 0;
}

function statesOf(windows: readonly Found[], nowMs: number): WindowState[] {
  return windows.map((window) => window?.state(nowMs) ?? EMPTY);
}

const EMPTY = Object.freeze({ used: 0, growsInMs: 0, emptyInMs: 0 });
