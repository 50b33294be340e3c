import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GROUPINGS } from '../../src/billing/reports/report-statements.js';
import { openBillingDatabase, type BillingDatabase } from './billing-support.js';

let db: BillingDatabase;

beforeAll(async () => {
  db = await openBillingDatabase();
});
afterAll(() => db.close());

const account = (user: string, balance: number, held = 0) =>
  db.dataSource.query('INSERT INTO account (user_id, balance_nano, held_nano) VALUES ($1, $2, $3)', [
    user,
    balance,
    held,
  ]);

function entry(fields: Record<string, unknown> = {}): Promise<unknown> {
  const id = randomUUID();
  const row = {
    id,
    user_id: 'u',
    kind: 'topup',
    counter_account: 'deposits',
    amount_nano: 5,
    balance_after_nano: 5,
    description: 'd',
    ...(fields['kind'] === 'charge' ? { hold_id: id } : {}),
    ...fields,
  };
  const names = Object.keys(row);
  return db.dataSource.query(
    `INSERT INTO ledger (${names.join(', ')}) VALUES (${names.map((_, index) => `$${index + 1}`).join(', ')})`,
    Object.values(row),
  );
}

describe('the tables refuse what no statement should ever do', () => {
  it.each([
    [-1, 0],
    [5, 6],
    [5, -1],
  ])('an account with balance %i and held %i', async (balance, held) => {
    await expect(account(`u${balance}${held}`, balance, held)).rejects.toThrow(/account_held_within_balance/);
  });

  it('a second charge of one hold, grant of one user, refund of one hold, topup of one key', async () => {
    const id = randomUUID();
    const charge = { id, hold_id: id, kind: 'charge', counter_account: 'revenue', amount_nano: -2 };
    await entry(charge);
    await expect(entry(charge)).rejects.toThrow(/ledger_pkey/);
    const grant = { kind: 'grant', counter_account: 'promotion' };
    await entry(grant);
    await expect(entry(grant)).rejects.toThrow(/ledger_one_grant/);
    const refund = { kind: 'refund', counter_account: 'revenue', hold_id: id };
    await entry(refund);
    await expect(entry(refund)).rejects.toThrow(/ledger_one_refund/);
    await entry({ idempotency_key: 'k' });
    await expect(entry({ idempotency_key: 'k' })).rejects.toThrow(/ledger_idempotency/);
    await entry({ idempotency_key: 'k', user_id: 'other' });
  });

  it.each([
    { kind: 'charge', counter_account: 'revenue', amount_nano: 1 },
    { kind: 'charge', counter_account: 'deposits', amount_nano: -1 },
    { kind: 'charge', counter_account: 'revenue', amount_nano: -1, hold_id: randomUUID() },
    { kind: 'refund', counter_account: 'revenue', amount_nano: 1 },
    { kind: 'topup', amount_nano: 0 },
    { kind: 'topup', amount_nano: -1 },
    { kind: 'adjustment', counter_account: 'adjustments', amount_nano: 0 },
    { balance_after_nano: -1 },
    { kind: 'gift' },
  ])('a ledger row with %j', async (fields) => {
    await expect(entry(fields)).rejects.toThrow(/check constraint/);
  });

  it.each([
    'UPDATE ledger SET amount_nano = amount_nano',
    'DELETE FROM ledger',
    'TRUNCATE ledger',
    "UPDATE price_version SET model = 'x'",
    'DELETE FROM price_version',
    'TRUNCATE price_version',
  ])('%s', async (sql) => {
    await entry();
    await db.dataSource.query(
      "INSERT INTO price_version (id, provider, model, card, currency) VALUES ('v', 'p', 'm', '{}', 'USD') ON CONFLICT DO NOTHING",
    );
    await expect(db.dataSource.query(sql)).rejects.toThrow(/append-only/);
  });

  it('two live attempts of one idempotency key; one that ended uncharged frees it', async () => {
    const hold = (state: string) =>
      db.dataSource.query(
        `INSERT INTO hold (id, request_id, user_id, model, stream, targets, amount_nano, bound_nano, state, captured_nano,
                           instance_id, idem_key, expires_at)
         VALUES ($1, 'r', 'u', 'm', false, '[]', 1, 1, $2, 0, $1, 'key', now())`,
        [randomUUID(), state],
      );
    await hold('released');
    await hold('orphaned');
    await hold('open');
    await expect(hold('open')).rejects.toThrow(/hold_idempotency/);
    await expect(hold('captured')).rejects.toThrow(/hold_idempotency/);
  });
});

it('the index of time takes in what is new without waiting for a vacuum', async () => {
  const [index] = await db.dataSource.query<{ reloptions: string[] | null }[]>(
    `SELECT reloptions FROM pg_class WHERE oid = 'ledger_by_time'::regclass`,
  );
  expect(index?.reloptions).toContain('autosummarize=on');
});

it('a report by day counts by its few days, and does not sort every entry', async () => {
  await db.dataSource.query(
    `INSERT INTO ledger (id, user_id, kind, counter_account, amount_nano, balance_after_nano, description, created_at)
     SELECT gen_random_uuid(), 'days', 'topup', 'deposits', 1, 1, 'd', now() - n * interval '1 minute'
       FROM generate_series(1, 5000) n`,
  );
  await db.dataSource.query('ANALYZE ledger');
  const [{ 'QUERY PLAN': plan }] = await db.dataSource.query(
    `EXPLAIN (FORMAT JSON) SELECT ${GROUPINGS.day}, count(*) FROM ledger GROUP BY 1`,
  );
  expect(plan[0].Plan['Plan Rows']).toBeLessThan(10);
});
