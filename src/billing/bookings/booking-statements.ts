/**
 * Books money that an administrator moves. The account's row is locked first, so `balance_after` is right; the SET
 * expression is right for any version of the row. An entry with a known idempotency key is passed over.
 *
 * $1 ledger id, $2 user, $3 kind, $4 counter account, $5 amount, $6 description, $7 idempotency key, $8 actor
 * No row: the key is known, or the account has not that much free.
 */
export const BOOK_ENTRY = `
  WITH locked AS MATERIALIZED (
    SELECT user_id, balance_nano FROM account
     WHERE user_id = $2 AND balance_nano - held_nano + $5::bigint >= 0 FOR UPDATE),
  booked AS (
    INSERT INTO ledger (id, user_id, kind, counter_account, amount_nano, balance_after_nano, description, idempotency_key, actor)
    SELECT $1, user_id, $3, $4, $5::bigint, balance_nano + $5::bigint, $6, $7, $8 FROM locked
    ON CONFLICT DO NOTHING
    RETURNING id, user_id, amount_nano, balance_after_nano, created_at),
  moved AS (
    UPDATE account SET balance_nano = GREATEST(account.balance_nano + booked.amount_nano, account.held_nano)
      FROM booked WHERE account.user_id = booked.user_id)
  SELECT id, amount_nano::text, balance_after_nano::text, created_at FROM booked`;

/** $1 user, $2 idempotency key */
export const FIND_BY_KEY = `
  SELECT id, kind, amount_nano::text, balance_after_nano::text, created_at FROM ledger
   WHERE user_id = $1 AND idempotency_key = $2`;

/**
 * Gives a charge back, whole or in part, once per charge.
 * $1 ledger id, $2 hold id, $3 amount or null = all, $4 description, $5 actor
 */
export const BOOK_REFUND = `
  WITH charge AS (
    SELECT * FROM ledger WHERE id = $2 AND kind = 'charge' AND COALESCE($3::bigint, -amount_nano) BETWEEN 1 AND -amount_nano),
  locked AS MATERIALIZED (
    SELECT account.user_id, account.balance_nano FROM account
     WHERE user_id = (SELECT user_id FROM charge) FOR UPDATE),
  booked AS (
    INSERT INTO ledger (id, user_id, kind, counter_account, amount_nano, balance_after_nano, description, hold_id,
                        request_id, model, provider, upstream_model, actor)
    SELECT $1, charge.user_id, 'refund', 'revenue', COALESCE($3::bigint, -charge.amount_nano),
           locked.balance_nano + COALESCE($3::bigint, -charge.amount_nano), $4, charge.hold_id,
           charge.request_id, charge.model, charge.provider, charge.upstream_model, $5
      FROM charge JOIN locked USING (user_id)
    ON CONFLICT DO NOTHING
    RETURNING id, user_id, amount_nano, balance_after_nano, created_at),
  moved AS (
    UPDATE account SET balance_nano = account.balance_nano + booked.amount_nano
      FROM booked WHERE account.user_id = booked.user_id)
  SELECT id, user_id, amount_nano::text, balance_after_nano::text, created_at FROM booked`;

/** A charge has its hold's id; a refund names it. $1 hold */
export const FIND_CHARGE_AND_REFUND = `
  SELECT id, user_id, kind, amount_nano::text, balance_after_nano::text, created_at FROM ledger
   WHERE id = $1 OR (kind = 'refund' AND hold_id = $1)`;
