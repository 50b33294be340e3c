import type { PriceCardJson } from '@app/money';

/**
 * What a line of the journal says.
 *
 * - `S`: a settlement, to be booked (the record follows as it is sent to Postgres);
 * - `D`: these settlements are booked;
 * - `R`: a request was started on credit, because Postgres was away (for the operator: nothing is reserved for it);
 * - `V`: a price version that Postgres did not have yet.
 */
export type JournalRecord =
  | { readonly t: 'S'; readonly s: unknown }
  | { readonly t: 'D'; readonly ids: readonly string[] }
  | {
      readonly t: 'R';
      readonly id: string;
      readonly user_id: string;
      readonly request_id: string;
      readonly amount: string;
    }
  | { readonly t: 'V'; readonly v: StoredPriceVersion };

export interface StoredPriceVersion {
  readonly id: string;
  readonly provider: string;
  readonly model: string;
  readonly card: PriceCardJson;
  readonly currency: string;
}

/** An `S` line around a settlement that is JSON text already. */
export function settlementLine(json: string): string {
  return `{"t":"S","s":${json}}`;
}
