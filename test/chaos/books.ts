import { readShortfalls, type ShortfallRow } from './shortfalls.ts';
import type { PostgresServer } from './stores.ts';

export interface ChargeRow {
  id: string;
  request_id: string;
  user_id: string;
  /** What the user paid, nano-units. */
  charged: string;
  /** What nobody paid. */
  shortfall: string;
  /** Above this it may not be: 1.10 × the worst case that was accepted. */
  ceiling: string | null;
  on_credit: boolean;
  upstream_model: string;
  usage_source: string;
}

/** Money that came in: what an administrator booked, and first credits. */
export interface CreditRow {
  /** As it is told: without dashes. */
  id: string;
  kind: 'grant' | 'topup' | 'refund' | 'adjustment';
  user_id: string;
  amount: string;
  /** The idempotency key of a top-up; the request of a refund. */
  subject: string | null;
}

export interface AccountRow {
  user_id: string;
  balance: string;
  held: string;
}

export interface HoldCounts {
  open: number;
  released: number;
  orphaned: number;
  expired: number;
  written_off: number;
  on_credit: number;
  /** Taken from what was reserved ahead. */
  leased: number;
  shortfall: string;
  unknown_cost: number;
}

/** What the database says at the end. */
export interface Books {
  readonly charges: readonly ChargeRow[];
  readonly accounts: readonly AccountRow[];
  readonly holds: HoldCounts;
  /** Keys with more than one charged hold. */
  readonly keysChargedTwice: readonly string[];
  readonly credits: readonly CreditRow[];
  readonly shortfalls: readonly ShortfallRow[];
}

export async function readBooks(postgres: PostgresServer): Promise<Books> {
  const charges = await postgres.query<ChargeRow>(
    `SELECT l.id, l.request_id, l.user_id, (-l.amount_nano)::text AS charged, coalesce(h.shortfall_nano, 0)::text AS shortfall,
            (h.bound_nano * 110 / 100)::text AS ceiling, coalesce(h.on_credit, false) AS on_credit, l.upstream_model, l.usage_source
       FROM ledger l LEFT JOIN hold h ON h.id = l.hold_id WHERE l.kind = 'charge'`,
  );
  const accounts = await postgres.query<AccountRow>(
    'SELECT user_id, balance_nano::text AS balance, held_nano::text AS held FROM account',
  );
  const [holds] = await postgres.query<HoldCounts>(
    `SELECT count(*) FILTER (WHERE state = 'open')::int AS open,
            count(*) FILTER (WHERE state = 'released')::int AS released,
            count(*) FILTER (WHERE state = 'orphaned')::int AS orphaned,
            count(*) FILTER (WHERE outcome = 'expired')::int AS expired,
            count(*) FILTER (WHERE outcome = 'written-off')::int AS written_off,
            count(*) FILTER (WHERE on_credit)::int AS on_credit,
            count(*) FILTER (WHERE expires_at = closed_at)::int AS leased,
            coalesce(sum(shortfall_nano), 0)::text AS shortfall,
            (SELECT count(*) FROM unknown_cost)::int AS unknown_cost FROM hold`,
  );
  const twice = await postgres.query<{ idem_key: string }>(
    `SELECT idem_key FROM hold WHERE state = 'captured' AND idem_key IS NOT NULL
      GROUP BY user_id, idem_key HAVING count(*) > 1`,
  );
  const credits = await postgres.query<CreditRow>(
    `SELECT replace(id::text, '-', '') AS id, kind, user_id, amount_nano::text AS amount,
            coalesce(idempotency_key, request_id) AS subject
       FROM ledger WHERE kind <> 'charge'`,
  );
  if (!holds) throw new Error('a count is one row');
  return {
    charges,
    accounts,
    holds,
    keysChargedTwice: twice.map((row) => row.idem_key),
    credits,
    shortfalls: await readShortfalls(postgres),
  };
}

/** What is reserved for anybody, by whatever. */
export async function reservedSums(postgres: PostgresServer): Promise<string[]> {
  const rows = await postgres.query<{ user_id: string; held: string; leased: string }>(
    `SELECT user_id, held_nano::text AS held,
            (SELECT count(*) FROM lease WHERE lease.user_id = account.user_id)::text AS leased
       FROM account WHERE held_nano > 0`,
  );
  return rows.map((row) => `${row.user_id}: ${row.held} held, ${row.leased} leases`);
}

export async function countOpenHolds(postgres: PostgresServer): Promise<number> {
  const [row] = await postgres.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM hold WHERE state = 'open'`,
  );
  return row?.count ?? 0;
}
