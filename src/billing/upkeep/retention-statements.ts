/** Rows of one statement: a few milliseconds of the database's time. In the text, or the planner expects many more. */
export const PAGE = 1000;

/**
 * Removes a page of old holds that ended without a charge. Goes on where it stopped, in the order of ids, which is that of
 * time: otherwise a fleet that is deployed often would never get through a table of many years that is nearly all kept.
 *
 * What was charged stays with its ledger row. So does a hold with a written-off settlement, which is a loss, and one that a
 * call of unknown cost is to be reconciled by. A hold that is locked by a settlement, or that ended more than a day after it
 * began, is passed over.
 *
 * $1 instance, $2 before this id, $3 how many ms ago it must have ended
 * Returns how many were read, and how many are gone.
 */
export const FORGET_OLD_HOLDS = `
  WITH page AS MATERIALIZED (
    SELECT id FROM hold
     WHERE id < $2 AND id > coalesce(
             (SELECT forgot_until FROM gateway_instance WHERE forgot_until IS NOT NULL ORDER BY forgot_until DESC LIMIT 1),
             '00000000-0000-0000-0000-000000000000')
     ORDER BY id LIMIT ${PAGE}),
  old AS MATERIALIZED (
    SELECT id FROM hold
     WHERE id IN (SELECT id FROM page) AND state IN ('released', 'orphaned') AND shortfall_nano IS NULL
       AND closed_at < now() - $3::bigint * interval '1 millisecond'
       AND NOT EXISTS (SELECT FROM unknown_cost WHERE unknown_cost.hold_id = hold.id)
       FOR UPDATE SKIP LOCKED),
  gone AS (DELETE FROM hold USING old WHERE hold.id = old.id RETURNING hold.id),
  noted AS (
    UPDATE gateway_instance SET forgot_until = last.id
      FROM (SELECT id FROM page ORDER BY id DESC LIMIT 1) last WHERE gateway_instance.id = $1)
  SELECT (SELECT count(*)::int FROM page) AS read, (SELECT count(*)::int FROM gone) AS gone`;

/**
 * Removes a page of calls of unknown cost that were written off so long ago, and their holds when nothing else refers to
 * those. What is undecided may still be on a provider's bill, and what was charged belongs to its ledger row.
 *
 * $1 how many ms ago. Returns how many are gone.
 */
export const FORGET_WRITTEN_OFF = `
  WITH old AS MATERIALIZED (
    SELECT hold_id, attempt FROM unknown_cost
     WHERE reconciled_at IS NOT NULL AND coalesce(reconciled_nano, 0) = 0
       AND reconciled_at < now() - $1::bigint * interval '1 millisecond'
     ORDER BY reconciled_at LIMIT ${PAGE} FOR UPDATE SKIP LOCKED),
  gone AS (
    DELETE FROM unknown_cost USING old
     WHERE unknown_cost.hold_id = old.hold_id AND unknown_cost.attempt = old.attempt RETURNING unknown_cost.hold_id),
  holds_gone AS (
    DELETE FROM hold
     WHERE id IN (SELECT hold_id FROM gone) AND state = 'released'
       AND NOT EXISTS (
         SELECT FROM unknown_cost WHERE unknown_cost.hold_id = hold.id AND (hold_id, attempt) NOT IN (SELECT hold_id, attempt FROM old)))
  SELECT count(*)::int AS gone FROM gone`;
