import type { Slot } from './limit-store.js';

/** Requests in flight by user. */
export class SlotTable {
  readonly #expiryByHolder = new Map<string, Map<string, number>>();

  /** @param lifetimeMs  of a slot that is not renewed, for holders that may die; a process's own are always given back */
  constructor(private readonly lifetimeMs = Infinity) {}

  acquire(slot: Slot, limit: number, nowMs: number): boolean {
    if (this.held(slot.key, nowMs) >= limit) return false;
    this.hold(slot, nowMs);
    return true;
  }

  /** Takes or renews, whatever the limit. */
  hold(slot: Slot, nowMs: number): void {
    let holders = this.#expiryByHolder.get(slot.key);
    if (!holders) this.#expiryByHolder.set(slot.key, (holders = new Map()));
    holders.set(slot.holder, nowMs + this.lifetimeMs);
  }

  release(slot: Slot): void {
    const holders = this.#expiryByHolder.get(slot.key);
    if (holders?.delete(slot.holder) && holders.size === 0) this.#expiryByHolder.delete(slot.key);
  }

  held(key: string, nowMs: number): number {
    const holders = this.#expiryByHolder.get(key);
    if (!holders) return 0;
    for (const [holder, expiresAtMs] of holders) if (expiresAtMs <= nowMs) holders.delete(holder);
    if (holders.size === 0) this.#expiryByHolder.delete(key);
    return holders.size;
  }
}
