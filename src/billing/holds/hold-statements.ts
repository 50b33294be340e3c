import { LOCK_ORDER } from '../accounts/account-statements.js';
import { isBroken } from '../broken-guarantees.js';

/** Columns of a hold as the statements below take them: keys of the JSON objects in their first parameter. */
const HOLD_INPUT = `
  id uuid, request_id text, user_id text, model text, stream boolean, targets jsonb,
  take bigint, need bigint, bound bigint, idem_key text, fingerprint text`;

const HOLD_COLUMNS = `id, request_id, user_id, model, stream, targets, amount_nano, bound_nano, instance_id, idem_key,
  fingerprint, expires_at`;

/** What is reserved, and when there is enough to reserve it. */
const GRANTED = isBroken('guard-off') ? 'take' : 'LEAST(take, free)';
const ENOUGH_FOR_ALL = isBroken('guard-off') ? 'true' : 'free >= GREATEST(take, need)';
const ENOUGH_FOR_ONE = isBroken('guard-off') ? 'true' : 'balance_nano - held_nano >= need';
const ENOUGH_FOR_SIMPLE = isBroken('guard-off')
  ? 'true'
  : 'balance_nano - held_nano >= GREATEST($1::bigint, $3::bigint)';

const HOLD_VALUES = `id, request_id, user_id, model, stream, targets, ${GRANTED}, bound, $3::uuid, idem_key,
  decode(fingerprint, 'hex'), now() + $4::bigint * interval '1 millisecond'`;

/**
 * Reserves for several requests at once. Each gets what it wants or, when its account has not enough left after those
 * before it, no row. Locks accounts in order, and nothing else that others could wait for.
 *
 * Every SET is right for any version of the row: Postgres evaluates CHECKs on the statement's snapshot before it notices
 * a concurrent update, and `held + amount` of a stale version would be refused although the newest has room.
 *
 * $1 array of holds, in order of arrival; $2 their users, apart: so the planner sees how many there are and takes the
 * index whatever the size of the table, where of a JSON array it always expects a hundred; $3 instance, $4 term in ms
 * Returns id, amount, and what was free before it.
 */
export const HOLD_BATCH = `
  WITH wanted AS MATERIALIZED (
    SELECT * FROM ROWS FROM (jsonb_to_recordset($1::jsonb) AS (${HOLD_INPUT})) WITH ORDINALITY AS t),
  locked AS MATERIALIZED (
    SELECT user_id, balance_nano - held_nano AS free_nano FROM account
     WHERE user_id = ANY($2::text[]) ORDER BY ${LOCK_ORDER} FOR UPDATE),
  queued AS MATERIALIZED (
    SELECT wanted.*, free_nano - (sum(take) OVER account_queue - take) AS free
      FROM wanted JOIN locked USING (user_id)
    WINDOW account_queue AS (PARTITION BY user_id ORDER BY ordinality)),
  held AS (
    INSERT INTO hold (${HOLD_COLUMNS})
    SELECT ${HOLD_VALUES} FROM queued WHERE ${ENOUGH_FOR_ALL}
    ON CONFLICT DO NOTHING
    RETURNING id, user_id, amount_nano),
  sums AS (SELECT user_id, sum(amount_nano)::bigint AS amount FROM held GROUP BY user_id),
  updated AS (
    UPDATE account SET held_nano = held_nano + LEAST(amount, balance_nano - held_nano)
      FROM sums WHERE account.user_id = sums.user_id AND account.user_id = ANY($2::text[]))
  SELECT held.id, held.amount_nano, queued.free AS free_nano FROM held JOIN queued USING (id)`;

/**
 * The same for one request alone, at little more than half the cost: what it wants, or no row. A hold that exists already
 * is a duplicate key.
 * $1 what it wants, $2 user, $3 what must be free, $4 id, $5 request id, $6 model, $7 stream, $8 targets, $9 bound,
 * $10 instance, $11 idempotency key, $12 fingerprint (hex), $13 term in ms
 */
export const HOLD_SIMPLE = `
  WITH raised AS (
    UPDATE account SET held_nano = held_nano + $1::bigint
     WHERE user_id = $2 AND ${ENOUGH_FOR_SIMPLE}
    RETURNING balance_nano - held_nano + $1::bigint AS free_nano),
  held AS (
    INSERT INTO hold (${HOLD_COLUMNS})
    SELECT $4::uuid, $5, $2, $6, $7, $8::jsonb, $1::bigint, $9::bigint, $10::uuid, $11, decode($12, 'hex'),
           now() + $13::bigint * interval '1 millisecond'
      FROM raised)
  SELECT $4::uuid AS id, $1::bigint AS amount_nano, free_nano FROM raised`;

/**
 * Reserves for one request: what it wants, or as much as there is when that is at least what it needs.
 * $1 array of one hold, $2 its user, $3 instance, $4 term in ms
 */
export const HOLD_ONE = `
  WITH wanted AS MATERIALIZED (SELECT * FROM jsonb_to_recordset($1::jsonb) AS (${HOLD_INPUT})),
  queued AS MATERIALIZED (
    SELECT wanted.*, balance_nano - held_nano AS free
      FROM account JOIN wanted USING (user_id)
     WHERE account.user_id = $2 AND ${ENOUGH_FOR_ONE} FOR UPDATE OF account),
  held AS (
    INSERT INTO hold (${HOLD_COLUMNS}) SELECT ${HOLD_VALUES} FROM queued
    ON CONFLICT DO NOTHING
    RETURNING id, user_id, amount_nano),
  updated AS (
    UPDATE account SET held_nano = held_nano + LEAST(queued.take, balance_nano - held_nano)
      FROM held JOIN queued USING (id) WHERE account.user_id = $2)
  SELECT held.id, held.amount_nano, queued.free AS free_nano FROM held JOIN queued USING (id)`;

/**
 * Why a hold was not given: "no row" alone says nothing (no account, no money, a repeated request, a spent key).
 * $1 user id, $2 hold id, $3 idempotency key, $4 instance
 */
export const EXPLAIN_HOLD = `
  SELECT a.balance_nano, a.held_nano,
         h.state AS own_state, h.amount_nano AS own_amount_nano,
         EXISTS (SELECT 1 FROM hold k WHERE k.user_id = $1 AND k.idem_key = $3 AND k.id <> $2
                   AND k.state IN ('open', 'captured')) AS key_taken,
         EXISTS (SELECT 1 FROM lease WHERE lease.user_id = $1 AND instance_id <> $4) AS leased_elsewhere
    FROM (SELECT 1) one
    LEFT JOIN account a ON a.user_id = $1
    LEFT JOIN hold h ON h.id = $2`;

/**
 * The next slice of a stream: hold first, account second, the order of every statement that locks both.
 * $1 hold id, $2 by how much
 */
export const EXTEND_HOLD = `
  WITH mine AS MATERIALIZED (SELECT user_id FROM hold WHERE id = $1 AND state = 'open' FOR UPDATE),
  raised AS (
    UPDATE account SET held_nano = held_nano + $2::bigint
      FROM mine WHERE account.user_id = mine.user_id AND balance_nano - held_nano >= $2::bigint
    RETURNING account.user_id),
  extended AS (
    UPDATE hold SET amount_nano = amount_nano + $2::bigint FROM raised WHERE hold.id = $1
    RETURNING amount_nano)
  SELECT amount_nano FROM extended`;
