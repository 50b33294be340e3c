import { isBroken } from '../broken-guarantees.js';

/** Every statement that locks several accounts locks them in this order. */
export const LOCK_ORDER = isBroken('unsorted-locks') ? 'random()' : 'user_id';

/**
 * Opens accounts that do not exist yet, each with its first credit, exactly once: of several instances that see a user
 * first, one inserts, and the others wait for it and insert nothing. Sorted, so that no two batches deadlock.
 * $1 user ids, $2 first credit
 */
export const OPEN_ACCOUNTS = `
  WITH opened AS (
    INSERT INTO account (user_id, balance_nano)
    SELECT user_id, $2::bigint FROM unnest($1::text[]) AS t(user_id) ORDER BY user_id
    ON CONFLICT DO NOTHING
    RETURNING user_id, balance_nano),
  granted AS (
    INSERT INTO ledger (id, user_id, kind, counter_account, amount_nano, balance_after_nano, description)
    SELECT gen_random_uuid(), user_id, 'grant', 'promotion', balance_nano, balance_nano, 'First credit'
      FROM opened WHERE balance_nano > 0)
  SELECT user_id FROM opened`;

/** Of a row of `account`: what requests hold in the database, without the leases. */
export const HELD_BY_REQUESTS =
  '(held_nano - (SELECT coalesce(sum(amount_nano), 0)::bigint FROM lease WHERE lease.user_id = account.user_id))';

/**
 * The same, and what requests of other instances hold of leases, as those last told.
 *
 * @param instance  the parameter with the instance that asks, which knows best what its own requests hold
 */
export const heldByOthersToo = (instance: string): string => `(${HELD_BY_REQUESTS} + (
    SELECT coalesce(sum(LEAST(in_use_nano, amount_nano)), 0)::bigint
      FROM lease WHERE lease.user_id = account.user_id AND instance_id <> ${instance}))`;

/** $1 user id, $2 instance that asks */
export const READ_ACCOUNT = `
  SELECT user_id, balance_nano, ${heldByOthersToo('$2')} AS held_nano FROM account WHERE user_id = $1`;
