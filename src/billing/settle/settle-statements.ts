import { isBroken } from '../broken-guarantees.js';

/** Every statement that locks several accounts locks them in this order. */
const LOCK_ORDER = isBroken('unsorted-locks') ? 'random()' : 'user_id';

/**
 * Ends up to fifty holds: captures or releases each, moves the money, writes the ledger. Any number of times: a hold that
 * has ended is passed over.
 *
 * Locks holds in order, then accounts in order, as every statement that locks both; two batches never wait for each other
 * in a circle. What is captured is at most what the account has free besides its other holds: an overrun is cut there, and
 * the balance is never negative. A hold that the sweep gave back before (`orphaned`) is still captured, from free money.
 *
 * Every SET is right for any version of the row (see hold-statements.ts): the amounts are computed from the row that is
 * being written, and agree with `priced` because that row is locked.
 *
 * $1 array of settlement records
 * Returns what became of each hold that was ended now.
 */
export const SETTLE_BATCH = `
  WITH records AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset($1::jsonb) AS (
      id uuid, release boolean, "unknown" boolean, cost bigint, chargeable bigint, outcome text, attempts jsonb,
      usage jsonb, source text, provider text, upstream_model text, price_version text, price_factor text,
      provider_request_id text, description text)),
  ended AS MATERIALIZED (
    SELECT id, user_id, request_id, model, amount_nano, state FROM hold
     WHERE id IN (SELECT id FROM records) AND state IN ('open', 'orphaned') ORDER BY id FOR UPDATE),
  locked AS MATERIALIZED (
    SELECT user_id, balance_nano, held_nano FROM account
     WHERE user_id IN (SELECT user_id FROM ended) ORDER BY ${LOCK_ORDER} FOR UPDATE),
  joined AS MATERIALIZED (
    SELECT ended.id, ended.user_id, ended.request_id, ended.model, records.release, records.cost, records.chargeable,
           locked.balance_nano, freed.amount AS freed,
           locked.balance_nano - locked.held_nano + sum(freed.amount) OVER account AS pot,
           sum(records.chargeable) OVER account_queue AS charged_so_far
      FROM ended
      JOIN records USING (id)
      JOIN locked USING (user_id)
      CROSS JOIN LATERAL (SELECT CASE WHEN ended.state = 'open' THEN ended.amount_nano ELSE 0 END AS amount) freed
    WINDOW account AS (PARTITION BY ended.user_id), account_queue AS (PARTITION BY ended.user_id ORDER BY ended.id)),
  priced AS MATERIALIZED (
    SELECT joined.*, GREATEST(0, LEAST(chargeable, pot - (charged_so_far - chargeable)))::bigint AS captured FROM joined),
  closed AS (
    UPDATE hold
       SET state = CASE WHEN priced.release THEN 'released' ELSE 'captured' END,
           captured_nano = CASE WHEN priced.release THEN NULL ELSE priced.captured END,
           shortfall_nano = CASE WHEN priced.release THEN NULL ELSE priced.cost - priced.captured END,
           outcome = records.outcome, attempts = records.attempts, closed_at = now()
      FROM priced JOIN records USING (id) WHERE hold.id = priced.id
    RETURNING hold.id),
  moved AS (
    UPDATE account
       SET held_nano = account.held_nano - LEAST(sums.freed, account.held_nano),
           balance_nano = account.balance_nano
             - LEAST(sums.charged, account.balance_nano - account.held_nano + LEAST(sums.freed, account.held_nano))
      FROM (SELECT user_id, sum(freed)::bigint AS freed, sum(chargeable)::bigint AS charged FROM priced GROUP BY user_id) sums
     WHERE account.user_id = sums.user_id
    RETURNING account.user_id),
  booked AS (
    INSERT INTO ledger (id, hold_id, user_id, kind, counter_account, amount_nano, balance_after_nano, description, request_id,
                        model, provider, upstream_model, usage, usage_source, price_version, price_factor)
    SELECT priced.id, priced.id, user_id, 'charge', 'revenue', -captured,
           balance_nano - sum(captured) OVER (PARTITION BY user_id ORDER BY priced.id), description, request_id,
           model, provider, upstream_model, usage, source, price_version, price_factor
      FROM priced JOIN records USING (id) WHERE NOT priced.release
     ORDER BY user_id, priced.id),
  noted AS (
    INSERT INTO unknown_cost (hold_id, request_id, user_id, provider, upstream_model, provider_request_id, reason)
    SELECT priced.id, request_id, user_id, provider, upstream_model, provider_request_id, outcome
      FROM priced JOIN records USING (id) WHERE records."unknown"
    ON CONFLICT DO NOTHING)
  SELECT id, captured::text AS captured_nano,
         CASE WHEN release THEN '0' ELSE (cost - captured)::text END AS shortfall_nano,
         (balance_nano - sum(captured) OVER (PARTITION BY user_id))::text AS balance_nano
    FROM priced`;

/** Which of these holds are there. $1 ids */
export const FIND_HOLDS = `SELECT id FROM hold WHERE id = ANY($1::uuid[])`;

/**
 * Writes down holds that the database never saw, with nothing reserved, so that their settlement can be booked like that
 * of a hold the sweep gave back: from free money, the rest is shortfall.
 * $1 array of settlement records
 */
export const CREATE_MISSING_HOLDS = `
  INSERT INTO hold (id, request_id, user_id, model, stream, targets, amount_nano, bound_nano, state, on_credit, instance_id,
                    idem_key, fingerprint, expires_at)
  SELECT id, request_id, user_id, model, stream, targets, 0, bound, 'orphaned', on_credit, instance_id,
         idem_key, decode(fingerprint, 'hex'), now()
    FROM jsonb_to_recordset($1::jsonb) AS (
      id uuid, request_id text, user_id text, model text, stream boolean, targets jsonb, bound bigint, on_credit boolean,
      instance_id uuid, idem_key text, fingerprint text)
   ORDER BY id
  ON CONFLICT DO NOTHING
  RETURNING id`;

/**
 * A late settlement whose Idempotency-Key was charged by another attempt meanwhile: one key is charged once, so this cost
 * is the operator's.
 * $1 id, $2 cost
 */
export const WRITE_OFF = `
  WITH closed AS (
    UPDATE hold SET shortfall_nano = $2::bigint, outcome = 'written-off', closed_at = now()
     WHERE id = $1 AND state = 'orphaned' AND shortfall_nano IS NULL
    RETURNING id)
  SELECT id FROM closed`;
