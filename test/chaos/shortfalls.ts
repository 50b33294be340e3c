import type { PostgresServer } from './stores.ts';

/** What a request cost beyond what its user was charged, with what the account had at that moment. */
export interface ShortfallRow {
  hold_id: string;
  request_id: string;
  user_id: string;
  shortfall: string;
  charged: string;
  /** 1.10 × the worst case that was accepted. */
  ceiling: string;
  on_credit: boolean;
  /** Another attempt was charged for its key. */
  written_off: boolean;
  /** What was still free behind the charge; absent when nobody saw it. */
  free: string | null;
  /** What requests held, */
  held: string | null;
  /** and what was reserved ahead. */
  leased: string | null;
}

/**
 * Notes beside every shortfall what its user had left, in the transaction that books it: a trigger sees what the whole
 * statement did, and the account is locked.
 */
const WATCH = `
  CREATE SCHEMA chaos;
  CREATE TABLE chaos.shortfall (hold_id uuid, free_nano bigint, held_nano bigint, leased_nano bigint);
  CREATE FUNCTION chaos.note_shortfall() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    INSERT INTO chaos.shortfall
    SELECT NEW.id, balance_nano - held_nano,
           (SELECT coalesce(sum(amount_nano), 0) FROM public.hold WHERE user_id = NEW.user_id AND state = 'open'),
           (SELECT coalesce(sum(amount_nano), 0) FROM public.lease WHERE user_id = NEW.user_id)
      FROM public.account WHERE user_id = NEW.user_id;
    RETURN NULL;
  END $$;
  CREATE TRIGGER note_shortfall AFTER INSERT OR UPDATE ON public.hold
    FOR EACH ROW WHEN (NEW.shortfall_nano > 0) EXECUTE FUNCTION chaos.note_shortfall()`;

export async function watchShortfalls(postgres: PostgresServer): Promise<void> {
  await postgres.query(WATCH);
}

export function readShortfalls(postgres: PostgresServer): Promise<ShortfallRow[]> {
  return postgres.query<ShortfallRow>(
    `SELECT h.id AS hold_id, h.request_id, h.user_id, h.shortfall_nano::text AS shortfall,
            coalesce(h.captured_nano, 0)::text AS charged, (h.bound_nano * 110 / 100)::text AS ceiling, h.on_credit,
            h.outcome = 'written-off' AND EXISTS (
              SELECT FROM hold k WHERE k.user_id = h.user_id AND k.idem_key = h.idem_key AND k.state = 'captured') AS written_off,
            s.free_nano::text AS free, s.held_nano::text AS held, s.leased_nano::text AS leased
       FROM hold h LEFT JOIN chaos.shortfall s ON s.hold_id = h.id WHERE h.shortfall_nano > 0 ORDER BY h.closed_at, h.id`,
  );
}

/** Why the operator may not have to bear it; `undefined` when it is rightly so. */
export function shortfallFault(row: ShortfallRow): string | undefined {
  const what = `${row.request_id} of ${row.user_id}: ${row.shortfall} short of, charged ${row.charged}`;
  if (row.written_off || BigInt(row.charged) >= BigInt(row.ceiling)) return undefined;
  if (!row.on_credit) return `${what}, although the money had been held`;
  if (row.free === null) return `${what}, and nobody saw what there was`;
  if (BigInt(row.free) > 0n) return `${what}, ${row.free} left free`;
  return undefined;
}
