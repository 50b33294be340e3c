import type { NanoUsd } from '@app/money';
import type { HoldQuote, QuoteTarget } from '../billing-session.js';
import type { Lease } from '../leases/lease.js';

/** Who asks and who pays, for the rows of one request. */
export interface SessionIdentity {
  readonly billingId: string;
  readonly requestId: string;
  readonly userId: string;
}

/** What was reserved for a request, and what that covers. */
export interface Held {
  readonly model: string;
  readonly stream: boolean;
  readonly targets: readonly QuoteTarget[];
  /** What further slices are priced by; absent when there are none, since a stream keeps this for as long as it lasts. */
  readonly slices: HoldQuote | undefined;
  /** Output limit of each answer, tokens. */
  readonly limit: number;
  /** Output tokens of all answers together. */
  readonly totalTokens: number;
  /** The worst case that was accepted; at least `amountNano` at the start. */
  readonly boundNano: NanoUsd;
  /** Taken from the outage credit instead of the account. */
  readonly onCredit: boolean;
  /** Taken out of a lease: the database knows nothing of this hold until it is settled. */
  readonly leased: { readonly lease: Lease; readonly heldAtMs: number } | undefined;
  /** Reserved so far; grows with the slices of a stream. */
  amountNano: NanoUsd;
  /** Output tokens that `amountNano` covers. */
  coveredTokens: number;
  /** The user's leases were recalled for its next slice, in vain. */
  isShort: boolean;
}
