import type { Rules } from './money-world.js';

export interface HoldRow {
  readonly id: number;
  readonly epoch: number;
  amount: number;
  state: 'open' | 'captured' | 'released' | 'orphaned';
  shortfall: number;
  readonly expiresAt: number;
}

export interface Settlement {
  readonly id: number;
  readonly epoch: number;
  /** Absent: the hold goes back. */
  readonly cost: number | undefined;
}

/**
 * The tables and statements of billing as a model: each method is one statement, so it happens at once or not at all.
 * One account, the hottest there is.
 */
export class MoneyTables {
  balance: number;
  held = 0;
  readonly holds = new Map<number, HoldRow>();
  /** Charges by hold: the primary key of the ledger. */
  readonly ledger: { readonly id: number; readonly amount: number }[] = [];
  readonly replayed = new Set<number>();
  /** Given back by the clock alone. */
  byTimer = 0;

  constructor(
    readonly granted: number,
    private readonly rules: Rules,
  ) {
    this.balance = granted;
  }

  hold(id: number, epoch: number, amount: number, expiresAt: number): boolean {
    if (this.holds.has(id)) return this.holds.get(id)?.state === 'open';
    if (this.rules.guard && this.balance - this.held < amount) return false;
    this.holds.set(id, { id, epoch, amount, state: 'open', shortfall: 0, expiresAt });
    this.held += amount;
    return true;
  }

  extend(id: number, by: number): boolean {
    const hold = this.holds.get(id);
    if (hold?.state !== 'open' || this.balance - this.held < by) return false;
    hold.amount += by;
    this.held += by;
    return true;
  }

  settle({ id, epoch, cost }: Settlement): void {
    const hold = this.holds.get(id) ?? this.#missing(id, epoch, cost);
    if (!hold) return;
    const isEnded = hold.state === 'captured' || hold.state === 'released';
    if (isEnded && this.rules.idempotentSettle) return;
    const freed = hold.state === 'open' ? hold.amount : 0;
    const captured = Math.min(cost ?? 0, this.balance - this.held + freed);
    this.held -= freed;
    this.balance -= captured;
    hold.state = cost === undefined ? 'released' : 'captured';
    if (cost === undefined) return;
    hold.shortfall = cost - captured;
    this.ledger.push({ id, amount: captured });
  }

  /** The evidence: everything of that epoch is booked. */
  markReplayed(epoch: number): void {
    this.replayed.add(epoch);
  }

  sweep(now: number): void {
    for (const hold of this.holds.values()) {
      if (hold.state !== 'open') continue;
      const isEvident = this.replayed.has(hold.epoch);
      if (!isEvident && hold.expiresAt >= now) continue;
      if (!isEvident) this.byTimer += 1;
      hold.state = 'orphaned';
      this.held -= hold.amount;
    }
  }

  openOf(epoch: number): HoldRow[] {
    return [...this.holds.values()].filter((hold) => hold.state === 'open' && hold.epoch === epoch);
  }

  #missing(id: number, epoch: number, cost: number | undefined): HoldRow | undefined {
    if (cost === undefined) return undefined;
    const hold: HoldRow = { id, epoch, amount: 0, state: 'orphaned', shortfall: 0, expiresAt: 0 };
    this.holds.set(id, hold);
    return hold;
  }
}
