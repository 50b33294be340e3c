import type { Usage } from '@app/contracts';
import type { AttemptReceipt, QuoteTarget, UsageSource } from '../billing-session.js';

/**
 * How one request ended, complete in itself: journal, queue and SQL all take the same JSON. Besides the settlement it
 * carries the hold, so that it can be booked even where the hold is not in the database (credit in an outage, a restored
 * copy). Amounts are decimal integers in text, nano-units.
 */
export interface SettlementRecord {
  readonly id: string;
  readonly request_id: string;
  readonly user_id: string;
  readonly model: string;
  readonly stream: boolean;
  readonly targets: readonly QuoteTarget[];
  readonly instance_id: string;
  readonly idem_key?: string | undefined;
  readonly fingerprint?: string | undefined;
  readonly on_credit: boolean;
  /** The worst case accepted at the start. */
  readonly bound: string;
  /** Of a hold out of a lease, which the database knows nothing of yet: the lease, */
  readonly lease_id?: string | undefined;
  /** the amount, */
  readonly leased?: string | undefined;
  /** and when it was taken, in ms since 1970. */
  readonly held_at?: number | undefined;
  /** True: the hold goes back, nothing is charged. */
  readonly release: boolean;
  /** True: some of `attempts` were sent and not answered; the operator gets a row to reconcile for each. */
  readonly unknown: boolean;
  /** What usage × price came to. */
  readonly cost: string;
  /** The part of `cost` the user may be charged: at most 1.10 × `bound`. */
  readonly chargeable: string;
  readonly outcome: string;
  readonly attempts: readonly AttemptReceipt[];
  readonly usage?: Usage | undefined;
  readonly source?: UsageSource | undefined;
  readonly provider?: string | undefined;
  readonly upstream_model?: string | undefined;
  readonly price_version?: string | undefined;
  readonly price_factor?: string | undefined;
  readonly provider_request_id?: string | undefined;
  readonly description: string;
}

/** What became of a settlement in the database. */
export interface BookedSettlement {
  /** The part of the cost above the ceiling or the free balance: the operator's loss. */
  readonly shortfallNano: bigint;
  readonly balanceNano: bigint;
}
