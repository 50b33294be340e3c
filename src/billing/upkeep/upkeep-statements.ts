import { isBroken } from '../broken-guarantees.js';

/** Rows that one sweep gives back, or one purge removes, at most. */
export const ROWS_AT_ONCE = 500;

/** $1 id, $2 host */
export const REGISTER_INSTANCE = `
  INSERT INTO gateway_instance (id, host) VALUES ($1, $2) ON CONFLICT DO NOTHING`;

/**
 * Returns whether this instance was declared dead (null before it is registered), the database's time, and since when its
 * server runs. $1 id
 */
export const HEARTBEAT = `
  WITH beat AS (UPDATE gateway_instance SET heartbeat_at = now() WHERE id = $1 RETURNING replayed_at)
  SELECT (SELECT replayed_at IS NOT NULL FROM beat) AS fenced, (extract(epoch FROM now()) * 1000)::float8 AS now_ms,
         (extract(epoch FROM pg_postmaster_start_time()) * 1000)::float8 AS server_since_ms`;

/**
 * Declares that all that this instance ever wrote down is booked: the evidence by which the sweep frees what it still
 * holds. One that never managed to register is entered with it. $1 id, $2 host
 */
export const MARK_REPLAYED = `
  INSERT INTO gateway_instance (id, host, replayed_at) VALUES ($1, $2, now())
  ON CONFLICT (id) DO UPDATE SET replayed_at = coalesce(gateway_instance.replayed_at, now())`;

/** When the instance was last heard of, ms since 1970 by the database's clock; no row when it never was. $1 id */
export const LAST_HEARTBEAT = `
  SELECT (extract(epoch FROM heartbeat_at) * 1000)::float8 AS heard_ms FROM gateway_instance WHERE id = $1`;

/** The oldest living instance: ids are in the order of the starts. */
export const OLDEST_INSTANCE = `
  SELECT id FROM gateway_instance
   WHERE replayed_at IS NULL AND heartbeat_at > now() - interval '30 seconds' ORDER BY id LIMIT 1`;

const PAST_ITS_TERM = isBroken('timer-release')
  ? `coalesce($1::float8, 0) >= 0 AND h.created_at < now() - interval '1 second'`
  : 'h.expires_at < to_timestamp($1::float8 / 1000)';

/**
 * Gives back what dead instances hold. Evidence first: the instance's journal was replayed, so no settlement of it is
 * still to come. Time last: nobody could replay it (its disk is gone), and the hold is past its term.
 * Locks holds in order, then accounts in order.
 * $1 the database's time as the caller last heard it, ms, since its clock may have been set forward meanwhile. Null: not by
 * time, because living instances may not have been able to renew what they hold
 */
export const SWEEP_ORPHANS = `
  WITH found AS MATERIALIZED (
    SELECT h.id, h.user_id, h.amount_nano, g.replayed_at IS NOT NULL AS evident
      FROM hold h LEFT JOIN gateway_instance g ON g.id = h.instance_id
     WHERE h.state = 'open' AND (g.replayed_at IS NOT NULL OR ${PAST_ITS_TERM})
     ORDER BY h.id LIMIT ${ROWS_AT_ONCE} FOR UPDATE OF h SKIP LOCKED),
  orphaned AS (
    UPDATE hold SET state = 'orphaned', outcome = CASE WHEN evident THEN 'gateway-died' ELSE 'expired' END, closed_at = now()
      FROM found WHERE hold.id = found.id),
  sums AS (SELECT user_id, sum(amount_nano)::bigint AS freed FROM found GROUP BY user_id),
  locked AS MATERIALIZED (
    SELECT user_id FROM account WHERE user_id IN (SELECT user_id FROM sums) ORDER BY user_id FOR UPDATE),
  moved AS (
    UPDATE account SET held_nano = held_nano - LEAST(freed, held_nano)
      FROM sums JOIN locked USING (user_id) WHERE account.user_id = sums.user_id)
  SELECT count(*) FILTER (WHERE evident)::int AS by_evidence, count(*) FILTER (WHERE NOT evident)::int AS by_timer FROM found`;

/** Running requests keep their holds, however long they take. $1 ids, $2 term in ms */
export const RENEW_HOLDS = `
  UPDATE hold SET expires_at = now() + $2::bigint * interval '1 millisecond'
   WHERE id = ANY($1::uuid[]) AND state = 'open' AND expires_at < now() + $2::bigint * interval '0.5 millisecond'`;

/**
 * This instance's open holds that it knows nothing of: their request ended and the release was lost on the way, or the
 * answer to the hold never came. $1 instance, $2 ids it knows, $3 spare those younger than this, ms
 */
export const FIND_FORGOTTEN = `
  SELECT id, user_id, request_id, model, stream FROM hold
   WHERE instance_id = $1 AND state = 'open' AND created_at < now() - $3::bigint * interval '1 millisecond'
     AND NOT id = ANY($2::uuid[])
   LIMIT 500`;

/** Answers past their term, and claims that were never answered. */
export const PURGE_RESPONSES = `
  WITH old AS (
    SELECT user_id, idem_key FROM idempotent_response
     WHERE expires_at < now() LIMIT ${ROWS_AT_ONCE} FOR UPDATE SKIP LOCKED),
  gone AS (
    DELETE FROM idempotent_response r USING old WHERE r.user_id = old.user_id AND r.idem_key = old.idem_key
    RETURNING r.idem_key)
  SELECT count(*)::int AS purged FROM gone`;

/** Instances long gone that no open hold refers to. */
export const PURGE_INSTANCES = `
  DELETE FROM gateway_instance g
   WHERE replayed_at < now() - interval '30 days' AND NOT EXISTS (SELECT 1 FROM lease l WHERE l.instance_id = g.id)
     AND NOT EXISTS (SELECT 1 FROM hold h WHERE h.instance_id = g.id AND h.state = 'open')`;
