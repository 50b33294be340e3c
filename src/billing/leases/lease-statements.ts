import { isBroken } from '../broken-guarantees.js';
import { ROWS_AT_ONCE } from '../upkeep/upkeep-statements.js';

/** No more than a share of what is free. */
const GRANTED = isBroken('guard-off') ? 'want' : 'LEAST(want, free_nano / share)';

/**
 * Every statement here, like the settlement, locks accounts first, in order, and touches leases only under that lock: so
 * there is no deadlock. `account.held_nano` is changed by the leases that were really written: one that somebody else has
 * given back meanwhile changes nothing.
 */

/**
 * Reserves ahead for several users at once, each at most once in a batch: a new lease, or more for an existing one. Each
 * gets what it wants or its share of what is free, whichever is less; no row when that is below the least.
 *
 * $1 array of wishes, $2 their users, $3 instance, $4 term in ms
 * Returns id, what was granted, and what was free before it.
 */
export const GRANT_LEASES = `
  WITH wanted AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset($1::jsonb) AS (
      id uuid, user_id text, is_new boolean, is_running boolean, want bigint, least bigint, share bigint)),
  locked AS MATERIALIZED (
    SELECT user_id, balance_nano - held_nano AS free_nano FROM account
     WHERE user_id = ANY($2::text[]) ORDER BY user_id FOR UPDATE),
  granted AS MATERIALIZED (
    SELECT id, user_id, is_new, is_running, free_nano, ${GRANTED} AS amount
      FROM wanted JOIN locked USING (user_id) WHERE ${GRANTED} >= least),
  made AS (
    INSERT INTO lease (id, user_id, instance_id, amount_nano, expires_at)
    SELECT id, user_id, $3::uuid, amount, now() + $4::bigint * interval '1 millisecond' FROM granted WHERE is_new
    RETURNING id),
  grown AS (
    UPDATE lease SET amount_nano = lease.amount_nano + granted.amount
      FROM granted WHERE NOT granted.is_new AND lease.id = granted.id AND (granted.is_running OR NOT lease.recalled)
    RETURNING lease.id),
  reserved AS MATERIALIZED (
    SELECT granted.* FROM granted JOIN (SELECT id FROM made UNION ALL SELECT id FROM grown) written USING (id)),
  moved AS (
    UPDATE account SET held_nano = held_nano + LEAST(amount, balance_nano - held_nano)
      FROM reserved WHERE account.user_id = reserved.user_id AND account.user_id = ANY($2::text[]))
  SELECT id, amount::text AS amount_nano, free_nano::text FROM reserved`;

/** Gives back whole leases. May be repeated. $1 ids, $2 their users */
export const RETURN_LEASES = `
  WITH locked AS MATERIALIZED (
    SELECT user_id FROM account WHERE user_id = ANY($2::text[]) ORDER BY user_id FOR UPDATE),
  gone AS (
    DELETE FROM lease WHERE id = ANY($1::uuid[]) AND (SELECT count(*) FROM locked) > 0
    RETURNING user_id, amount_nano)
  UPDATE account SET held_nano = held_nano - LEAST(freed, held_nano)
    FROM (SELECT user_id, sum(amount_nano)::bigint AS freed FROM gone GROUP BY user_id) sums
   WHERE account.user_id = sums.user_id AND account.user_id = ANY($2::text[])`;

/** Gives back a part. $1 id, $2 user, $3 how much */
export const SHRINK_LEASE = `
  WITH locked AS MATERIALIZED (SELECT user_id FROM account WHERE user_id = $2 FOR UPDATE),
  shrunk AS (
    UPDATE lease SET amount_nano = amount_nano - $3::bigint
     WHERE id = $1 AND amount_nano >= $3::bigint AND (SELECT count(*) FROM locked) > 0
    RETURNING user_id)
  UPDATE account SET held_nano = held_nano - LEAST($3::bigint, held_nano) FROM shrunk
   WHERE account.user_id = shrunk.user_id AND account.user_id = $2`;

/** Renews the leases of a living instance; returns those that still exist. $1 ids, $2 their users, $3 term in ms */
export const RENEW_LEASES = `
  WITH locked AS MATERIALIZED (
    SELECT user_id FROM account WHERE user_id = ANY($2::text[]) ORDER BY user_id FOR UPDATE)
  UPDATE lease SET expires_at = now() + $3::bigint * interval '1 millisecond'
   WHERE id = ANY($1::uuid[]) AND (SELECT count(*) FROM locked) > 0
  RETURNING id`;

/** What an account has free, and whether other instances have leases of it. $1 user, $2 instance that asks */
export const LOOK_FOR_FREE = `
  SELECT (balance_nano - held_nano)::text AS free_nano,
         EXISTS (SELECT 1 FROM lease WHERE lease.user_id = $1 AND instance_id <> $2) AS is_out
    FROM account WHERE user_id = $1`;

/**
 * Notes how much of these leases requests hold, for the balances that other instances show, and returns which leases a
 * request elsewhere needs. It moves no money, so it waits for no lock: a lease that is being changed is passed over.
 *
 * $1 instance, $2 leases, $3 what requests hold of each
 */
export const NOTE_HELD_AND_FIND_RECALLED = `
  WITH found AS MATERIALIZED (
    SELECT lease.id, news.held_nano
      FROM unnest($2::uuid[], $3::bigint[]) news (id, held_nano) JOIN lease USING (id)
       FOR UPDATE OF lease SKIP LOCKED),
  noted AS (
    UPDATE lease SET in_use_nano = found.held_nano FROM found WHERE lease.id = found.id RETURNING lease.id)
  SELECT id, true AS is_recalled FROM lease WHERE instance_id = $1 AND recalled
  UNION ALL SELECT id, false FROM noted`;

/** Asks the other instances for their leases back. $1 user, $2 instance that asks */
export const RECALL_LEASES = `
  WITH locked AS MATERIALIZED (SELECT user_id FROM account WHERE user_id = $1 FOR UPDATE)
  UPDATE lease SET recalled = true
   WHERE user_id = $1 AND instance_id <> $2 AND NOT recalled AND (SELECT count(*) FROM locked) > 0
  RETURNING id`;

/**
 * Leases of this instance that it knows nothing of, because the answer to a grant never came.
 * $1 instance, $2 ids it knows, $3 spare those younger than this, ms
 */
export const FIND_FORGOTTEN_LEASES = `
  SELECT id, user_id FROM lease
   WHERE instance_id = $1 AND created_at < now() - $3::bigint * interval '1 millisecond'
     AND NOT EXISTS (SELECT FROM unnest($2::uuid[]) known (id) WHERE known.id = lease.id)
   LIMIT 500`;

/**
 * Gives back the leases of dead instances, by the same evidence as their holds (see SWEEP_ORPHANS): the journal was
 * replayed, so no further charge comes out of them; or, as the last resort, their term is over.
 * $1 the time, as there
 */
export const SWEEP_LEASES = `
  WITH found AS MATERIALIZED (
    SELECT l.id, l.user_id, g.replayed_at IS NOT NULL AS evident
      FROM lease l LEFT JOIN gateway_instance g ON g.id = l.instance_id
     WHERE g.replayed_at IS NOT NULL OR l.expires_at < to_timestamp($1::float8 / 1000)
     ORDER BY l.id LIMIT ${ROWS_AT_ONCE}),
  locked AS MATERIALIZED (
    SELECT user_id FROM account WHERE user_id IN (SELECT user_id FROM found) ORDER BY user_id FOR UPDATE),
  gone AS (
    DELETE FROM lease USING found
     WHERE lease.id = found.id AND (found.evident OR lease.expires_at < to_timestamp($1::float8 / 1000))
       AND (SELECT count(*) FROM locked) > 0
    RETURNING lease.user_id, lease.amount_nano, found.evident),
  moved AS (
    UPDATE account SET held_nano = held_nano - LEAST(freed, held_nano)
      FROM (SELECT user_id, sum(amount_nano)::bigint AS freed FROM gone GROUP BY user_id) sums
     WHERE account.user_id = sums.user_id)
  SELECT count(*) FILTER (WHERE evident)::int AS by_evidence, count(*) FILTER (WHERE NOT evident)::int AS by_timer FROM gone`;
