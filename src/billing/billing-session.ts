import type { Usage } from '@app/contracts';
import type { WorstCase } from '@app/money';

/** What a request may cost at most, at prices pinned now. Made by `QuoterService`. */
export interface HoldQuote {
  readonly model: string;
  /** Upper bound of the input, tokens. */
  readonly inputTokensBound: number;
  /** The client's own limit, or `undefined`. */
  readonly requestedMaxOutputTokens: number | undefined;
  /** The model's (or catalogue's) limit: the largest over the targets that may be tried. */
  readonly modelMaxOutputTokens: number;
  /** Answers asked for (`n`): the output bound counts for each. */
  readonly choices: number;
  /** Every target that may be tried; the dearest decides the hold. */
  readonly targets: readonly QuoteTarget[];
  readonly stream: boolean;
  /** What each target costs at most, at its pinned prices; the order of `targets`. */
  readonly bounds: readonly TargetBound[];
  /** The hold may be taken in slices while the answer streams: what comes out is seen as it comes. */
  readonly sliceable: boolean;
  /**
   * The same quote with the input counted instead of bounded: dearer to make, so it is asked for only when the money is
   * short. Absent when there is nothing to gain.
   */
  readonly refine?: (() => Promise<HoldQuote>) | undefined;
}

export interface TargetBound {
  readonly target: QuoteTarget;
  readonly worst: WorstCase;
  /** This target's own limit for one answer, tokens. */
  readonly maxOutputTokens: number;
}

export interface QuoteTarget {
  readonly provider: string;
  readonly upstreamModel: string;
  /** Id of the stored price version. */
  readonly priceVersion: string;
}

/** Who counted the tokens: the provider, or our tokenizer. */
export type UsageSource = 'provider' | 'own';

/** How the request ended, as far as money is concerned (see billing/README.md for the table). */
export type Settlement =
  | {
      readonly kind: 'usage';
      readonly target: QuoteTarget;
      readonly usage: Usage;
      readonly source: UsageSource;
    }
  /** Served from the response cache: price × CACHE_HIT_PRICE_FACTOR. */
  | { readonly kind: 'cache-hit'; readonly target: QuoteTarget; readonly usage: Usage }
  /** Nothing produced, or the provider failed: the hold goes back. */
  | {
      readonly kind: 'release';
      readonly reason: string;
      /** The last call had begun to answer, and the provider may bill us for that: as `AttemptReceipt.isCostUnknown`. */
      readonly isCostUnknown?: true;
    };

export interface AttemptReceipt {
  readonly provider: string;
  readonly upstreamModel: string;
  readonly outcome: string;
  readonly upstreamStatus: number | undefined;
  readonly providerRequestId: string | undefined;
  readonly durationMs: number;
  /** Sent, no answer that is charged, the provider may bill us: the user pays nothing for it, the operator gets a row to reconcile. */
  readonly isCostUnknown?: true | undefined;
}

/**
 * The money side of one request: hold → settle | release, exactly once. Opened by the billing interceptor,
 * held and settled by the completions service. With BILLING_ENABLED=false every method succeeds and costs nothing.
 */
export interface BillingSession {
  readonly billingId: string;
  /**
   * Holds the worst case. Lowers the output limit to what the balance covers when the client named none.
   * @returns at once when nothing has to be asked for it
   * @throws GatewayError `insufficient_balance`, `balance_reserved`, `database_unavailable`
   */
  hold(quote: HoldQuote): HoldResult | Promise<HoldResult>;
  /**
   * A stream has produced so many output tokens (estimate): extends a sliced hold ahead of it.
   * Resolves to false when the balance does not cover the next slice: the stream must end with `length`.
   */
  covers(outputTokensSoFar: number): Promise<boolean> | true;
  /** Notes one upstream attempt for the receipt. */
  attempt(receipt: AttemptReceipt): void;
  /**
   * Ends the session. Resolves when the charge is durable (journal), so that what the client sees complete is booked.
   * A second call returns the first result and changes nothing.
   */
  settle(settlement: Settlement): Promise<SettledCharge>;
  /** True once `settle` was called. */
  readonly closed: boolean;
}

export interface HoldResult {
  /** The limit to send upstream; `undefined`: the model's own maximum is covered. */
  readonly maxOutputTokens: number | undefined;
}

export interface SettledCharge {
  readonly costNanoUsd: bigint;
}
