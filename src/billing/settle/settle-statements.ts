import { LOCK_ORDER } from '../accounts/account-statements.js';

const CHARGE_COLUMNS = `(id, hold_id, user_id, kind, counter_account, amount_nano, balance_after_nano, description, request_id,
                        model, provider, upstream_model, usage, usage_source, price_version, price_factor)`;

/** Gives back `sums.freed` and takes `sums.charged`, or as much as there is; right for any version of the row. */
const MONEY_MOVED = `
           held_nano = account.held_nano - LEAST(sums.freed, account.held_nano),
           balance_nano = account.balance_nano
             - LEAST(sums.charged, account.balance_nano - account.held_nano + LEAST(sums.freed, account.held_nano))`;

/** A row for each attempt whose cost nobody knows, also of a request that was charged for another attempt. */
const UNKNOWN_COSTS_NOTED = `
    INSERT INTO unknown_cost (hold_id, attempt, request_id, user_id, provider, upstream_model, provider_request_id, reason)
    SELECT id, number, request_id, priced.user_id, facts->>'provider', facts->>'upstreamModel',
           facts->>'providerRequestId', facts->>'outcome'
      FROM priced JOIN records USING (id)
           CROSS JOIN LATERAL jsonb_array_elements(records.attempts) WITH ORDINALITY attempt(facts, number)
     WHERE records."unknown" AND (facts->>'isCostUnknown')::boolean
    ON CONFLICT DO NOTHING`;

/**
 * Ends up to fifty holds: captures or releases each, moves the money, writes the ledger. May be repeated: a hold that has
 * ended is passed over.
 *
 * Locks holds in order, then accounts in order, as every statement that locks both (the count makes the holds come
 * first); two batches never wait for each other in a circle. What is captured is at most what the account has free besides
 * its other holds: an overrun is cut there, and the balance is never negative. In a batch each request is first paid out of
 * its own hold; overruns share what is left. A hold that the sweep gave back before
 * (`orphaned`) is still captured, from free money.
 *
 * Every SET is right for any version of the row (see hold-statements.ts): the amounts are computed from the row that is
 * being written, and agree with `priced` because that row is locked.
 *
 * $1 array of settlement records, $2 their holds, $3 their users (given apart for the planner, see hold-statements.ts)
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
     WHERE id = ANY($2::uuid[]) AND state IN ('open', 'orphaned') ORDER BY id FOR UPDATE),
  locked AS MATERIALIZED (
    SELECT user_id, balance_nano, held_nano FROM account
     WHERE user_id = ANY($3::text[]) AND (SELECT count(*) FROM ended) > 0 ORDER BY ${LOCK_ORDER} FOR UPDATE),
  joined AS MATERIALIZED (
    SELECT ended.id, ended.user_id, ended.request_id, ended.model, records.release, records.cost, records.chargeable,
           locked.balance_nano, locked.balance_nano - locked.held_nano AS free, freed.amount AS freed,
           LEAST(records.chargeable, freed.amount) AS covered,
           records.chargeable - LEAST(records.chargeable, freed.amount) AS overrun
      FROM ended
      JOIN records USING (id)
      JOIN locked USING (user_id)
      CROSS JOIN LATERAL (SELECT CASE WHEN ended.state = 'open' THEN ended.amount_nano ELSE 0 END AS amount) freed),
  priced AS MATERIALIZED (
    SELECT joined.*,
           (covered + GREATEST(0, LEAST(overrun, free + sum(freed - covered) OVER account
                                                 - (sum(overrun) OVER account_queue - overrun))))::bigint AS captured
      FROM joined
    WINDOW account AS (PARTITION BY user_id), account_queue AS (PARTITION BY user_id ORDER BY id)),
  closed AS (
    UPDATE hold
       SET state = CASE WHEN priced.release THEN 'released' ELSE 'captured' END,
           captured_nano = CASE WHEN priced.release THEN NULL ELSE priced.captured END,
           shortfall_nano = CASE WHEN priced.release THEN NULL ELSE priced.cost - priced.captured END,
           outcome = records.outcome, attempts = records.attempts, closed_at = now()
      FROM priced JOIN records USING (id) WHERE hold.id = priced.id AND hold.id = ANY($2::uuid[])),
  moved AS (
    UPDATE account
       SET ${MONEY_MOVED}
      FROM (SELECT user_id, sum(freed)::bigint AS freed, sum(chargeable)::bigint AS charged FROM priced GROUP BY user_id) sums
     WHERE account.user_id = sums.user_id AND account.user_id = ANY($3::text[])),
  booked AS (
    INSERT INTO ledger ${CHARGE_COLUMNS}
    SELECT priced.id, priced.id, user_id, 'charge', 'revenue', -captured,
           balance_nano - sum(captured) OVER (PARTITION BY user_id ORDER BY priced.id), description, request_id,
           model, provider, upstream_model, usage, source, price_version, price_factor
      FROM priced JOIN records USING (id) WHERE NOT priced.release
     ORDER BY user_id, priced.id),
  noted AS (${UNKNOWN_COSTS_NOTED})
  SELECT id, captured::text AS captured_nano,
         CASE WHEN release THEN '0' ELSE (cost - captured)::text END AS shortfall_nano,
         (balance_nano - sum(captured) OVER (PARTITION BY user_id))::text AS balance_nano
    FROM priced`;

/**
 * The same for one hold alone, at little more than half the cost.
 * $1 id, $2 release, $3 cost, $4 chargeable, $5 outcome, $6 attempts, $7 usage, $8 source, $9 provider, $10 upstream model,
 * $11 price version, $12 price factor, $13 description
 */
export const SETTLE_ONE = `
  WITH ended AS MATERIALIZED (
    SELECT user_id, request_id, model, CASE WHEN state = 'open' THEN amount_nano ELSE 0 END AS freed FROM hold
     WHERE id = $1 AND state IN ('open', 'orphaned') FOR UPDATE),
  priced AS MATERIALIZED (
    SELECT ended.*, balance_nano, LEAST($4::bigint, balance_nano - held_nano + freed) AS captured
      FROM ended JOIN account USING (user_id) FOR UPDATE OF account),
  closed AS (
    UPDATE hold
       SET state = CASE WHEN $2::boolean THEN 'released' ELSE 'captured' END,
           captured_nano = CASE WHEN $2::boolean THEN NULL ELSE captured END,
           shortfall_nano = CASE WHEN $2::boolean THEN NULL ELSE $3::bigint - captured END,
           outcome = $5, attempts = $6::jsonb, closed_at = now()
      FROM priced WHERE hold.id = $1),
  moved AS (
    UPDATE account
       SET held_nano = held_nano - LEAST(freed, held_nano),
           balance_nano = account.balance_nano
             - LEAST($4::bigint, account.balance_nano - held_nano + LEAST(freed, held_nano))
      FROM priced WHERE account.user_id = priced.user_id),
  booked AS (
    INSERT INTO ledger ${CHARGE_COLUMNS}
    SELECT $1::uuid, $1::uuid, user_id, 'charge', 'revenue', -captured, balance_nano - captured, $13, request_id,
           model, $9, $10, $7::jsonb, $8, $11, $12
      FROM priced WHERE NOT $2::boolean)
  SELECT $1::uuid AS id, captured::text AS captured_nano,
         CASE WHEN $2::boolean THEN '0' ELSE ($3::bigint - captured)::text END AS shortfall_nano,
         (balance_nano - captured)::text AS balance_nano
    FROM priced`;

/**
 * Ends requests that held of a lease, as SETTLE_BATCH does. Their holds are written only now, as ended: the money was
 * reserved with the lease, and the charge comes out of it. What is not charged stays in the lease, where its owner has it
 * back already. If the lease was given back meanwhile, the charge is paid from free money.
 *
 * Locks accounts, in order, before anything else (see lease-statements.ts). A request whose hold exists has ended and is
 * passed over; if another process writes it at this very moment, that is a duplicate key, and a repetition passes it over.
 *
 * $1 array of settlement records, $2 their ids, $3 their users, $4 their leases
 * Returns what became of each that was ended now.
 */
export const SETTLE_LEASED = `
  WITH known AS MATERIALIZED (SELECT id FROM hold WHERE id = ANY($2::uuid[])),
  records AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset($1::jsonb) AS (
      id uuid, request_id text, user_id text, model text, stream boolean, targets jsonb, instance_id uuid, bound bigint,
      lease_id uuid, leased bigint, held_at bigint, release boolean, "unknown" boolean, cost bigint, chargeable bigint,
      outcome text, attempts jsonb, usage jsonb, source text, provider text, upstream_model text, price_version text,
      price_factor text, provider_request_id text, description text)
     WHERE id NOT IN (SELECT id FROM known)),
  locked AS MATERIALIZED (
    SELECT user_id, balance_nano, held_nano FROM account
     WHERE user_id = ANY($3::text[]) AND (SELECT count(*) FROM records) > 0 ORDER BY ${LOCK_ORDER} FOR UPDATE),
  dues AS MATERIALIZED (
    SELECT id, lease_id, balance_nano, balance_nano - held_nano AS free,
           CASE WHEN release THEN 0 ELSE LEAST(chargeable, leased) END AS due
      FROM records JOIN locked USING (user_id)),
  taken AS (
    UPDATE lease SET amount_nano = amount_nano - sums.due
      FROM (SELECT lease_id, sum(due)::bigint AS due FROM dues GROUP BY lease_id) sums
     WHERE lease.id = sums.lease_id AND lease.id = ANY($4::uuid[]) AND amount_nano >= sums.due
    RETURNING lease.id AS lease_id),
  covered AS MATERIALIZED (
    SELECT id, balance_nano, free, CASE WHEN taken.lease_id IS NULL THEN 0 ELSE due END AS covered
      FROM dues LEFT JOIN taken USING (lease_id)),
  priced AS MATERIALIZED (
    SELECT id, user_id, release, cost, chargeable, balance_nano, covered,
           (covered + GREATEST(0, LEAST(chargeable - covered,
              free - (sum(chargeable - covered) OVER account_queue - (chargeable - covered)))))::bigint AS captured
      FROM covered JOIN records USING (id)
    WINDOW account_queue AS (PARTITION BY user_id ORDER BY id)),
  ended AS (
    INSERT INTO hold (id, request_id, user_id, model, stream, targets, amount_nano, bound_nano, state, captured_nano,
                      shortfall_nano, outcome, attempts, instance_id, created_at, expires_at, closed_at)
    SELECT id, request_id, records.user_id, model, stream, targets, leased, bound,
           CASE WHEN records.release THEN 'released' ELSE 'captured' END,
           CASE WHEN records.release THEN NULL ELSE captured END,
           CASE WHEN records.release THEN NULL ELSE records.cost - captured END,
           outcome, attempts, instance_id, to_timestamp(held_at / 1000.0), now(), now()
      FROM priced JOIN records USING (id)),
  moved AS (
    UPDATE account
       SET ${MONEY_MOVED}
      FROM (SELECT user_id, sum(covered)::bigint AS freed, sum(chargeable)::bigint AS charged FROM priced GROUP BY user_id) sums
     WHERE account.user_id = sums.user_id AND account.user_id = ANY($3::text[])),
  booked AS (
    INSERT INTO ledger ${CHARGE_COLUMNS}
    SELECT id, id, priced.user_id, 'charge', 'revenue', -captured,
           balance_nano - sum(captured) OVER (PARTITION BY priced.user_id ORDER BY id), description, request_id,
           model, provider, upstream_model, usage, source, price_version, price_factor
      FROM priced JOIN records USING (id) WHERE NOT priced.release
     ORDER BY priced.user_id, id),
  noted AS (${UNKNOWN_COSTS_NOTED})
  SELECT id, captured::text AS captured_nano,
         CASE WHEN release THEN '0' ELSE (cost - captured)::text END AS shortfall_nano,
         (balance_nano - sum(captured) OVER (PARTITION BY user_id))::text AS balance_nano
    FROM priced`;

/** Those of these holds that are known; an orphaned one may be left over from an interrupted settlement. $1 ids */
export const FIND_HOLDS = `SELECT id FROM hold WHERE id = ANY($1::uuid[]) AND state <> 'orphaned'`;

/**
 * Writes holds that the database never saw, with nothing reserved, so that they can be settled like those that the sweep
 * gave back: from free money, and the rest is shortfall.
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
  ON CONFLICT DO NOTHING`;

/**
 * A late settlement whose Idempotency-Key was charged by another attempt meanwhile: one key is charged once, so this cost
 * is the operator's.
 * $1 id, $2 cost
 */
export const WRITE_OFF = `
  UPDATE hold SET shortfall_nano = $2::bigint, outcome = 'written-off', closed_at = now()
   WHERE id = $1 AND state = 'orphaned' AND shortfall_nano IS NULL`;
