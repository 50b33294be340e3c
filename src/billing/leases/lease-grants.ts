import type { NanoUsd } from '@app/money';
import { type Grant, type GrantRow, toGrant } from '../holds/hold-order.js';
import { type MoneyDatabase, retryOnce } from '../money-database.js';
import { NaturalBatcher } from '../natural-batcher.js';
import { toTextArray } from '../text-array.js';
import { GRANT_LEASES } from './lease-statements.js';

const LIMITS = { batchSize: 50, inFlight: 2 };

/** A new lease, or more for one. Of one user at most one is asked for at a time. */
export interface LeaseWish {
  readonly id: string;
  readonly userId: string;
  readonly isNew: boolean;
  /** For a request that holds of the lease already: also when the lease was recalled. */
  readonly isRunning: boolean;
  readonly wantNano: NanoUsd;
  /** Less than this is of no use. */
  readonly leastNano: NanoUsd;
  /** No more than what is free divided by this. */
  readonly share: bigint;
}

/** Asks the database to reserve money ahead: all who ask at one moment, in one statement. */
export class LeaseGrants {
  /** Ids of those on their way. */
  readonly #pending = new Set<string>();
  readonly #batcher = new NaturalBatcher<LeaseWish, Grant | 'refused'>(
    (wishes) => this.#grant(wishes),
    LIMITS,
  );
  #wasAsked = false;

  constructor(
    private readonly database: MoneyDatabase,
    private readonly instanceId: string,
    private readonly termMs: number,
  ) {}

  /** Whether there may be leases of this instance at all. */
  get wasAsked(): boolean {
    return this.#wasAsked;
  }

  get pendingIds(): Iterable<string> {
    return this.#pending;
  }

  async ask(wish: LeaseWish): Promise<Grant | 'refused'> {
    this.#wasAsked = true;
    this.#pending.add(wish.id);
    try {
      return await this.#batcher.add(wish);
    } finally {
      this.#pending.delete(wish.id);
    }
  }

  async #grant(wishes: readonly LeaseWish[]): Promise<(Grant | 'refused')[]> {
    const users = toTextArray(new Set(wishes.map(({ userId }) => userId)));
    const parameters = [JSON.stringify(wishes.map(toRow)), users, this.instanceId, this.termMs];
    const rows = await retryOnce(() => this.database.query<GrantRow>(GRANT_LEASES, parameters));
    const grants = new Map<string, Grant>();
    for (const row of rows) grants.set(row.id, toGrant(row));
    return wishes.map(({ id }) => grants.get(id) ?? 'refused');
  }
}

function toRow(wish: LeaseWish): Record<string, unknown> {
  return {
    id: wish.id,
    user_id: wish.userId,
    is_new: wish.isNew,
    is_running: wish.isRunning,
    want: wish.wantNano.toString(),
    least: wish.leastNano.toString(),
    share: wish.share.toString(),
  };
}
