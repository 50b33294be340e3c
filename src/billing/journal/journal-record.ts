import type { PriceCardJson } from '@app/money';
import type { PackedAnswer } from '../idempotency/packed-answer.js';

/**
 * What a line of the journal says.
 *
 * - `S`: a settlement to be booked, in the form that Postgres gets;
 * - `A`: the answer that a retry with the same Idempotency-Key gets; comes before its settlement;
 * - `D`: these settlements are booked, and their answers stored;
 * - `R`: a request was started on credit, because Postgres was away (for the operator: nothing is reserved for it);
 * - `V`: a price version that Postgres did not have yet.
 */
export type JournalRecord =
  | { readonly t: 'S'; readonly s: unknown }
  | { readonly t: 'A'; readonly id: string; readonly a: JournaledAnswer }
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

/** A packed answer with its body in base64. */
interface JournaledAnswer extends Omit<PackedAnswer, 'body'> {
  readonly body: string | null;
}

export function answerRecord(id: string, answer: PackedAnswer): JournalRecord {
  return { t: 'A', id, a: { ...answer, body: answer.body?.toString('base64') ?? null } };
}

export function answerOfRecord({ body, ...answer }: JournaledAnswer): PackedAnswer {
  return { ...answer, body: body === null ? null : Buffer.from(body, 'base64') };
}
