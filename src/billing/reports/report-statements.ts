import { heldByOthersToo } from '../accounts/account-statements.js';
import { entryIdsOf } from '../unknown-costs/unknown-cost-statements.js';

/** Newest first, in the order of the index by user. */
const ORDER = 'ORDER BY created_at DESC, seq DESC';

/** The time as text is exact to the microsecond, which a Date is not. $1 id, $2 user or null */
export const FIND_PLACE = `
  SELECT created_at::text AS at, seq::text, ceil(extract(epoch FROM created_at) * 1000)::float8 AS until_ms
    FROM ledger WHERE id = $1 AND ($2::text IS NULL OR user_id = $2)`;

/** $1 user, $2 limit, $3 offset, $4 and $5 below this place, or null */
export const LIST_TRANSACTIONS = `
  SELECT id, kind, amount_nano::text, balance_after_nano::text, description, request_id, model, provider, usage,
         price_version, price_factor, created_at
    FROM ledger WHERE user_id = $1 AND ($4::timestamptz IS NULL OR (created_at, seq) < ($4, $5::bigint))
   ${ORDER} LIMIT $2 OFFSET $3`;

/**
 * The ledger of everybody, for administrators. The place is compared so that the index by time can serve it: for
 * `(created_at, seq) < ($7, $8)` PostgreSQL reads all of the index by user.
 * $1 user or null, $2 kind or null, $3 from, $4 to (exclusive), $5 limit, $6 offset, $7 and $8 below this place, or null
 */
export const LIST_ENTRIES = `
  SELECT id, user_id, kind, amount_nano::text, balance_after_nano::text, description, request_id, model, provider, usage,
         price_version, price_factor, created_at, actor, idempotency_key
    FROM ledger
   WHERE ($1::text IS NULL OR user_id = $1) AND ($2::text IS NULL OR kind = $2)
     AND created_at >= $3 AND created_at < $4
     AND ($7::timestamptz IS NULL OR created_at <= $7 AND (created_at < $7 OR seq < $8::bigint))
   ${ORDER} LIMIT $5 OFFSET $6`;

/** How a report may be grouped: an allow-list, so that nothing of a request ever becomes SQL. */
export const GROUPINGS = {
  day: `to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')`,
  model: `COALESCE(model, '')`,
  provider: `COALESCE(provider, '')`,
  user: `user_id`,
} as const;

export type Grouping = keyof typeof GROUPINGS;

/** Spend by group. $1 user or null = everybody, $2 from, $3 to (exclusive) */
function spendReport(grouping: Grouping): string {
  return `
  SELECT ${GROUPINGS[grouping]} AS key,
         count(*) FILTER (WHERE kind = 'charge')::int AS requests,
         COALESCE(sum((usage->>'inputTokens')::bigint) FILTER (WHERE kind = 'charge'), 0)::text AS input_tokens,
         COALESCE(sum((usage->>'outputTokens')::bigint) FILTER (WHERE kind = 'charge'), 0)::text AS output_tokens,
         COALESCE(sum(-amount_nano) FILTER (WHERE kind = 'charge'), 0)::text AS charged_nano,
         COALESCE(sum(amount_nano) FILTER (WHERE kind = 'refund'), 0)::text AS refunded_nano
    FROM ledger
   WHERE kind IN ('charge', 'refund') AND ($1::text IS NULL OR user_id = $1)
     AND created_at >= $2 AND created_at < $3
   GROUP BY 1`;
}

/**
 * A page of the report's groups, and how many there are in all, also when the page is empty.
 * $1 to $3 as above, $4 limit, $5 offset
 */
export function spendReportPage(grouping: Grouping): string {
  return `
  WITH report AS MATERIALIZED (${spendReport(grouping)})
  SELECT (SELECT count(*)::int FROM report) AS total,
         (SELECT coalesce(jsonb_agg(page ORDER BY key), '[]')
            FROM (SELECT * FROM report ORDER BY key LIMIT $4 OFFSET $5) AS page) AS rows`;
}

/** $1 LIKE pattern */
export const COUNT_USERS = `SELECT count(*)::int AS total FROM account WHERE user_id LIKE $1`;

/** $1 LIKE pattern, $2 limit, $3 offset, $4 instance that asks */
export const LIST_USERS = `
  SELECT user_id, balance_nano::text, created_at, ${heldByOthersToo('$4')}::text AS held_nano
    FROM account WHERE user_id LIKE $1 ORDER BY user_id LIMIT $2 OFFSET $3`;

/** Ledger rows of one hold, oldest first, each with its price card. $1 hold */
export const FIND_ENTRIES_OF_HOLD = `
  SELECT ledger.id, kind, amount_nano::text, usage, usage_source, price_version, price_factor, ledger.provider,
         upstream_model, ledger.created_at, card
    FROM ledger LEFT JOIN price_version ON price_version.id = ledger.price_version
   WHERE ledger.id = $1 OR (kind = 'refund' AND hold_id = $1) OR ledger.id = ANY(${entryIdsOf('$1')})
   ORDER BY seq`;
