/**
 * Id of the ledger row that charges a call of unknown cost, derived from the call's own: a second charge of it is a
 * duplicate key, even after the call's row was reset by hand.
 */
const entryId = (of: string): string =>
  `encode(substr(sha256(convert_to('unknown_cost ' || ${of}.hold_id || ' ' || ${of}.attempt, 'UTF8')), 1, 16), 'hex')::uuid`;

const columnsOf = (
  rows: string,
): string => `hold_id, attempt, request_id, user_id, provider, upstream_model, provider_request_id, reason, created_at,
  reconciled_at, reconciled_nano::text, reconciled_by, reconciled_because,
  CASE WHEN reconciled_nano > 0 THEN ${entryId(rows)} END AS entry_id`;

/**
 * Writes a call of unknown cost off, or charges it, once. The rules are those of an adjustment (see booking-statements.ts):
 * never more than is free. Its row is locked first, which no settlement does, then the account's.
 *
 * $1 hold, $2 attempt, $3 amount (0 = written off), $4 description, $5 actor
 * No row: it is reconciled already, or the account has not that much free.
 */
export const RECONCILE = `
  WITH unreconciled AS MATERIALIZED (
    SELECT * FROM unknown_cost WHERE hold_id = $1 AND attempt = $2 AND reconciled_at IS NULL FOR UPDATE),
  locked AS MATERIALIZED (
    SELECT user_id, balance_nano FROM account
     WHERE user_id = (SELECT user_id FROM unreconciled) AND balance_nano - held_nano >= $3::bigint FOR UPDATE),
  booked AS (
    INSERT INTO ledger (id, user_id, kind, counter_account, amount_nano, balance_after_nano, description, hold_id, request_id,
                        model, provider, upstream_model, actor)
    SELECT ${entryId('unreconciled')}, user_id, 'adjustment', 'adjustments', -$3::bigint, balance_nano - $3::bigint, $4, hold_id, request_id,
           (SELECT model FROM hold WHERE hold.id = $1), provider, upstream_model, $5
      FROM unreconciled JOIN locked USING (user_id) WHERE $3::bigint > 0
    ON CONFLICT DO NOTHING
    RETURNING user_id, amount_nano, balance_after_nano),
  moved AS (
    UPDATE account SET balance_nano = GREATEST(account.balance_nano + booked.amount_nano, account.held_nano)
      FROM booked WHERE account.user_id = booked.user_id),
  reconciled AS (
    UPDATE unknown_cost
       SET reconciled_at = now(), reconciled_nano = $3::bigint, reconciled_by = $5, reconciled_because = $4
      FROM locked
     WHERE hold_id = $1 AND attempt = $2 AND reconciled_at IS NULL AND ($3::bigint = 0 OR EXISTS (SELECT FROM booked))
    RETURNING unknown_cost.*)
  SELECT ${columnsOf('reconciled')}, (SELECT balance_after_nano FROM booked)::text AS balance_after_nano FROM reconciled`;

/** The ledger decides whether it was charged, even when the row was reset by hand. $1 hold, $2 attempt */
export const FIND_UNKNOWN_COST = `
  SELECT ${columnsOf('unknown_cost')}, charged_nano::text, balance_after_nano::text
    FROM unknown_cost
    LEFT JOIN LATERAL (
      SELECT -amount_nano AS charged_nano, balance_after_nano FROM ledger WHERE ledger.id = ${entryId('unknown_cost')}) entry ON true
   WHERE hold_id = $1 AND attempt = $2`;

/** Ids of the ledger rows that charge a request's calls of unknown cost: an array, so that the index is used. */
export const entryIdsOf = (hold: string): string =>
  `ARRAY(SELECT ${entryId('unknown_cost')} FROM unknown_cost WHERE unknown_cost.hold_id = ${hold} AND reconciled_nano > 0)`;

/**
 * A page of them, newest first, and how many there are in all.
 * $1 user or null, $2 provider or null, $3 from, $4 to (exclusive), $5 limit, $6 offset
 *
 * @param isReconciled  `undefined` = either. In the text, so that the index of the open ones is found
 */
export function listUnknownCosts(isReconciled: boolean | undefined): string {
  const state =
    isReconciled === undefined
      ? 'true'
      : isReconciled
        ? 'reconciled_at IS NOT NULL'
        : 'reconciled_at IS NULL';
  return `
  WITH found AS NOT MATERIALIZED (
    SELECT * FROM unknown_cost
     WHERE ${state} AND ($1::text IS NULL OR user_id = $1) AND ($2::text IS NULL OR provider = $2)
       AND created_at >= $3 AND created_at < $4)
  SELECT (SELECT count(*)::int FROM found) AS total,
         (SELECT coalesce(jsonb_agg(page ORDER BY created_at DESC, hold_id DESC, attempt DESC), '[]')
            FROM (SELECT ${columnsOf('found')} FROM found
                   ORDER BY created_at DESC, hold_id DESC, attempt DESC LIMIT $5 OFFSET $6) AS page) AS rows`;
}
