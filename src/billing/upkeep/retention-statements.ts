/** Rows of one statement: a few milliseconds of the database's time. Told to the planner, which else expects many more. */
export const PAGE = 1000;

/**
 * Takes away a page of old holds that ended without a charge, and what was noted of calls of unknown cost of that time.
 * In the order of ids, which is that of time: of a table of many years it reads what it has not read before.
 *
 * What was charged stays with its ledger row, and what a settlement was written off with stays, too: it is a loss. A hold
 * that a settlement has locked is passed over.
 *
 * $1 after this id, $2 before this id, $3 how many ms ago it must have ended
 * Returns how many were read, the last of them, and how many rows are gone.
 */
export const FORGET_OLD_HOLDS = `
  WITH page AS MATERIALIZED (SELECT id FROM hold WHERE id > $1 AND id < $2 ORDER BY id LIMIT ${PAGE}),
  old AS MATERIALIZED (
    SELECT id FROM hold
     WHERE id IN (SELECT id FROM page) AND state IN ('released', 'orphaned') AND shortfall_nano IS NULL
       AND closed_at < now() - $3::bigint * interval '1 millisecond'
       FOR UPDATE SKIP LOCKED),
  gone AS (DELETE FROM hold USING old WHERE hold.id = old.id RETURNING hold.id)
  SELECT (SELECT count(*)::int FROM page) AS read, (SELECT id FROM page ORDER BY id DESC LIMIT 1) AS last,
         (SELECT count(*)::int FROM gone) AS gone`;

/** $1 of holds before this id, $2 noted so many ms ago */
export const FORGET_OLD_UNKNOWN_COSTS = `
  WITH old AS MATERIALIZED (
    SELECT hold_id, attempt FROM unknown_cost
     WHERE hold_id < $1 AND created_at < now() - $2::bigint * interval '1 millisecond'
     ORDER BY hold_id LIMIT ${PAGE} FOR UPDATE SKIP LOCKED),
  gone AS (
    DELETE FROM unknown_cost USING old
     WHERE unknown_cost.hold_id = old.hold_id AND unknown_cost.attempt = old.attempt RETURNING 1)
  SELECT count(*)::int AS gone FROM gone`;
