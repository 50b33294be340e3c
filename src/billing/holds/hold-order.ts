import type { NanoUsd } from '@app/money';
import type { QuoteTarget } from '../billing-session.js';

/** A request for money to be reserved. */
export interface HoldOrder {
  readonly billingId: string;
  readonly requestId: string;
  readonly userId: string;
  readonly model: string;
  readonly stream: boolean;
  readonly targets: readonly QuoteTarget[];
  /** What to reserve; less is given when the account has less. */
  readonly takeNano: NanoUsd;
  /** What must be free, or the order is refused. Above `takeNano` for a sliced stream, below it when less will do. */
  readonly needNano: NanoUsd;
  /** The whole worst case, for the record. */
  readonly boundNano: NanoUsd;
  readonly idempotency: { readonly key: string; readonly fingerprintHex: string } | undefined;
}

/** Money that was reserved. */
export interface Grant {
  readonly amountNano: NanoUsd;
  /** What was free before it. */
  readonly freeNano: NanoUsd;
}

export interface GrantRow {
  id: string;
  amount_nano: string;
  free_nano: string;
}

export function toGrant(row: GrantRow): Grant {
  return { amountNano: BigInt(row.amount_nano), freeNano: BigInt(row.free_nano) };
}
