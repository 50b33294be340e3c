/** Each finds what must not be: a subject, and what is wrong with it. All run in one snapshot. */
export const AUDIT_CHECKS = {
  balance_is_sum_of_ledger: `
    SELECT a.user_id AS subject, format('balance %s, ledger %s', a.balance_nano, coalesce(l.total, 0)) AS detail
      FROM account a FULL JOIN (SELECT user_id, sum(amount_nano) AS total FROM ledger GROUP BY user_id) l USING (user_id)
     WHERE a.balance_nano IS DISTINCT FROM coalesce(l.total, 0)`,

  held_is_sum_of_open_holds: `
    SELECT a.user_id AS subject, format('held %s, open holds and leases %s', a.held_nano, coalesce(h.total, 0)) AS detail
      FROM account a
      FULL JOIN (
        SELECT user_id, sum(amount_nano) AS total
          FROM (SELECT user_id, amount_nano FROM hold WHERE state = 'open'
                UNION ALL SELECT user_id, amount_nano FROM lease) reserved
         GROUP BY user_id) h USING (user_id)
     WHERE a.held_nano IS DISTINCT FROM coalesce(h.total, 0)`,

  captured_is_in_ledger: `
    SELECT coalesce(h.id, l.id)::text AS subject, format('captured %s, charged %s', h.captured_nano, -l.amount_nano) AS detail
      FROM (SELECT * FROM hold WHERE state = 'captured') h
      FULL JOIN (SELECT * FROM ledger WHERE kind = 'charge') l ON l.id = h.id
     WHERE h.captured_nano IS DISTINCT FROM -l.amount_nano OR h.user_id IS DISTINCT FROM l.user_id`,

  // "C": sorted by bytes, ten million rows take a fifth of the time.
  balance_after_is_running_sum: `
    SELECT id::text AS subject, format('says %s, is %s', balance_after_nano, running) AS detail
      FROM (SELECT id, balance_after_nano, sum(amount_nano) OVER (PARTITION BY user_id COLLATE "C" ORDER BY seq) AS running
              FROM ledger) r
     WHERE balance_after_nano <> running`,

  refund_is_within_charge: `
    SELECT r.id::text AS subject, format('refund %s, charge %s', r.amount_nano, -c.amount_nano) AS detail
      FROM ledger r LEFT JOIN ledger c ON c.id = r.hold_id
     WHERE r.kind = 'refund' AND (c.id IS NULL OR r.amount_nano > -c.amount_nano OR r.user_id <> c.user_id)`,

  no_hold_past_its_term: `
    SELECT id::text AS subject, format('open since %s', created_at) AS detail
      FROM (SELECT id, created_at, expires_at FROM hold WHERE state = 'open'
            UNION ALL SELECT id, created_at, expires_at FROM lease) reserved
     WHERE expires_at < now() - interval '5 minutes'`,
} as const satisfies Record<string, string>;

/** The first mismatches of a check, each with the number of all. $1 how many */
export const firstOf = (check: string): string =>
  `SELECT subject, detail, (count(*) OVER ())::int AS count FROM (${check}) found LIMIT $1`;

/** An id before that of any charge. */
export const BEFORE_ALL_CHARGES = '00000000-0000-0000-0000-000000000000';

/** A few hundred, read once: one for each of millions of charges took most of an audit's time. */
export const PRICE_CARDS = 'SELECT id, card FROM price_version';

/**
 * Charges with what they were priced by, in pages. In the order of ids, which are indexed here and in `hold`: in any other
 * order each page would read the whole ledger. `h.id > $1` keeps the merge join from starting at the very first hold.
 * $1 after this id, $2 how many
 */
export const CHARGES_TO_RECOMPUTE = `
  SELECT l.id, l.amount_nano, l.usage, l.price_version, l.price_factor, h.shortfall_nano
    FROM ledger l LEFT JOIN hold h ON h.id = l.id AND h.id > $1
   WHERE l.kind = 'charge' AND l.id > $1 ORDER BY l.id LIMIT $2`;

export const COUNT_CHECKED = `
  SELECT (SELECT count(*) FROM account)::int AS accounts, (SELECT count(*) FROM ledger)::int AS entries,
         (SELECT count(*) FROM ledger WHERE kind = 'charge')::int AS charges,
         (SELECT count(*) FROM hold WHERE state = 'open')::int AS open_holds`;
