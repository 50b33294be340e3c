import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import { runLedgerAudit } from '../../src/billing/audit/ledger-audit.js';
import { FORGET_OLD_HOLDS } from '../../src/billing/upkeep/retention-statements.js';
import { Retention } from '../../src/billing/upkeep/retention.service.js';
import {
  type BillingDatabase,
  type BillingMachine,
  chat,
  fund,
  identityOf,
  openBillingDatabase,
  plannedTarget,
  planOf,
  startMachine,
  targetOf,
  unansweredAttempt,
  userId,
} from './billing-support.js';

const DAY_MS = 86_400_000;
const user = userId();
let db: BillingDatabase;
let machine: BillingMachine;
let retention: Retention;

beforeAll(async () => {
  db = await openBillingDatabase();
  machine = await startMachine(db.dataSource, { retentionMs: 400 * DAY_MS });
  retention = new Retention(machine.database, machine.instance, machine.telemetry, machine.config);
  await machine.upkeep.runOnce();
  await fund(db.dataSource, user, 1_000_000_000n);
});
afterEach(() => {
  vi.restoreAllMocks();
});
afterAll(async () => {
  await machine[Symbol.asyncDispose]();
  await db.close();
});

async function serve(ending: 'charged' | 'released' | 'unanswered'): Promise<void> {
  const session = machine.sessions.open(identityOf(user));
  const target = plannedTarget();
  await session.hold(machine.quoter.quote(planOf(target), chat('hi', { max_tokens: 5 }), false));
  if (ending === 'unanswered') session.attempt(unansweredAttempt('request_timeout'));
  await session.settle(
    ending === 'charged'
      ? {
          kind: 'usage',
          target: targetOf(target),
          usage: { inputTokens: 1, outputTokens: 1 },
          source: 'provider',
        }
      : { kind: 'release', reason: 'request_timeout' },
  );
}

async function rowsByTable(): Promise<Record<string, number>> {
  const tables = await db.dataSource.query<{ name: string }[]>(
    `SELECT relname AS name FROM pg_stat_user_tables WHERE relname NOT LIKE '%migrations' ORDER BY relname`,
  );
  const counts: Record<string, number> = {};
  for (const { name } of tables) {
    const [row] = await db.dataSource.query<{ count: number }[]>(
      `SELECT count(*)::int AS count FROM ${name}`,
    );
    if (row && row.count > 0) counts[name] = row.count;
  }
  return counts;
}

/** As if so many days had gone by since everything that is in the database. */
async function letDaysGoBy(days: number): Promise<void> {
  await db.dataSource.query(`UPDATE hold SET closed_at = closed_at - $1 * interval '1 day'`, [days]);
  await db.dataSource.query(`UPDATE unknown_cost SET created_at = created_at - $1 * interval '1 day'`, [
    days,
  ]);
  const now = Date.now() + days * DAY_MS;
  vi.spyOn(Date, 'now').mockReturnValue(now);
}

it('what grows with every request is what was charged, and the rest goes when its time is over', async () => {
  for (let round = 0; round < 10; round += 1) {
    for (const ending of ['charged', 'released', 'unanswered'] as const) await serve(ending);
  }
  await machine.settler.drain({ timeoutMs: 2000 });
  await machine.holds.hold({
    billingId: identityOf(user).billingId,
    requestId: 'open',
    userId: user,
    model: 'm',
    stream: false,
    targets: [],
    takeNano: 5n,
    needNano: 5n,
    boundNano: 5n,
    idempotency: undefined,
  });
  // One hold of each ending and the open one; the ledger has the money that the account began with, too.
  const grown = { account: 1, gateway_instance: 1, hold: 31, ledger: 11, price_version: 1, unknown_cost: 10 };
  expect(await rowsByTable()).toEqual(grown);

  await letDaysGoBy(399);
  expect(await retention.runOnce()).toBe(false);
  expect(await rowsByTable()).toEqual(grown);

  await letDaysGoBy(403);
  expect(await retention.runOnce()).toBe(false);
  // What nobody has decided about may be on a provider's bill yet, and its receipt says what for.
  expect(await rowsByTable()).toEqual({ ...grown, hold: 21 });
  const states = await db.dataSource.query('SELECT state, count(*)::int FROM hold GROUP BY 1 ORDER BY 1');
  expect(states).toEqual([
    { state: 'captured', count: 10 },
    { state: 'open', count: 1 },
    { state: 'released', count: 10 },
  ]);
  expect((await runLedgerAudit(db.dataSource)).mismatches).toEqual([]);
});

it('calls of unknown cost go when they were written off that long ago, with the receipts of their requests', async () => {
  const calls = await db.dataSource.query<{ hold_id: string }[]>(
    'SELECT hold_id FROM unknown_cost ORDER BY hold_id',
  );
  const [twice, byHand, writtenOff, charged] = calls.map(({ hold_id }) => hold_id);
  await db.dataSource.query(
    `INSERT INTO unknown_cost (hold_id, attempt, request_id, user_id, provider, upstream_model, reason)
     SELECT hold_id, 9, request_id, user_id, provider, upstream_model, reason FROM unknown_cost WHERE hold_id = $1`,
    [twice],
  );
  await db.dataSource.query(
    `UPDATE unknown_cost SET reconciled_at = now() - interval '401 days',
            reconciled_nano = CASE hold_id WHEN $2 THEN NULL WHEN $4 THEN 5 ELSE 0 END
      WHERE hold_id IN ($2, $3, $4) OR (hold_id = $1 AND attempt <> 9)`,
    [twice, byHand, writtenOff, charged],
  );
  const left = async (): Promise<unknown[]> =>
    db.dataSource.query(
      `SELECT hold_id, array_agg(attempt) AS attempts, (SELECT count(*)::int FROM hold WHERE id = hold_id) AS receipts
         FROM unknown_cost WHERE hold_id = ANY($1) GROUP BY 1 ORDER BY 1`,
      [[twice, byHand, writtenOff, charged]],
    );
  vi.spyOn(Date, 'now').mockReturnValue(Date.now() + 403 * DAY_MS);
  await retention.runOnce();
  expect(await left()).toEqual([
    { hold_id: twice, attempts: [9], receipts: 1 },
    { hold_id: charged, attempts: [1], receipts: 1 },
  ]);
  expect((await rowsByTable())['hold']).toBe(19);
  await db.dataSource.query(
    `UPDATE unknown_cost SET reconciled_at = now() - interval '399 days', reconciled_nano = 0 WHERE hold_id = $1`,
    [twice],
  );
  await retention.runOnce();
  expect(await left()).toHaveLength(2);
  await db.dataSource.query(
    `UPDATE unknown_cost SET reconciled_at = now() - interval '401 days' WHERE hold_id = $1`,
    [twice],
  );
  await retention.runOnce();
  expect(await left()).toEqual([{ hold_id: charged, attempts: [1], receipts: 1 }]);
  expect((await rowsByTable())['hold']).toBe(18);
  expect((await runLedgerAudit(db.dataSource)).mismatches).toEqual([]);
});

it('takes a long backlog in rounds, keeps losses that were written off, and waits for nobody', async () => {
  await db.dataSource.query(
    `INSERT INTO hold (id, request_id, user_id, model, stream, targets, amount_nano, bound_nano, state, shortfall_nano,
                       instance_id, expires_at, closed_at)
     SELECT (lpad(to_hex(1500000000000 + n), 12, '0') || '7000800000000000000' || (n % 10))::uuid, 'r', $1, 'm', true, '[]', 1, 1,
            CASE WHEN n % 2 = 0 THEN 'released' ELSE 'orphaned' END, CASE WHEN n = 7 THEN 12 END,
            gen_random_uuid(), now(), now() - interval '900 days'
       FROM generate_series(1, 21000) n`,
    [user],
  );
  // As another that was before us, and looked no further.
  await db.dataSource.query('UPDATE gateway_instance SET forgot_until = NULL');
  // However large the table, a page of it is read by its index.
  await db.dataSource.query('ANALYZE hold');
  const plans = await db.dataSource.transaction(async (manager) => {
    await manager.query(`SET LOCAL plan_cache_mode = force_generic_plan`);
    await manager.query(`PREPARE forget (uuid, uuid, bigint) AS ${FORGET_OLD_HOLDS}`);
    return manager.query<{ 'QUERY PLAN': string }[]>(
      `EXPLAIN EXECUTE forget (gen_random_uuid(), 'ffffffff-0000-0000-0000-000000000000', 0)`,
    );
  });
  expect(plans.map((line) => line['QUERY PLAN']).join('\n')).not.toMatch(/Seq Scan on hold/);
  const backlog = new Retention(machine.database, machine.instance, machine.telemetry, machine.config);
  // What somebody else holds locked is left for another time.
  const settlement = db.dataSource.createQueryRunner();
  await settlement.startTransaction();
  try {
    await settlement.query(`SELECT 1 FROM hold WHERE id::text LIKE '015d3ef7-9801-%' FOR UPDATE`);
    expect(await backlog.runOnce()).toBe(true);
    expect(await backlog.runOnce()).toBe(false);
  } finally {
    await settlement.rollbackTransaction();
    await settlement.release();
  }
  const left = await db.dataSource.query(
    `SELECT shortfall_nano FROM hold WHERE request_id = 'r' ORDER BY id`,
  );
  expect(left).toEqual([{ shortfall_nano: null }, { shortfall_nano: '12' }]);

  // The next start goes on where this one was: of what is kept, nothing is read again.
  const query = vi.spyOn(machine.database, 'query');
  await new Retention(machine.database, machine.instance, machine.telemetry, machine.config).runOnce();
  const pages = await Promise.all(
    query.mock.results.map(({ value }) => value as Promise<{ read?: number }[]>),
  );
  expect(pages.flat().map(({ read }) => read)).toContain(0);
});

it('is the business of one instance', async () => {
  await using younger = await startMachine(db.dataSource, { retentionMs: DAY_MS });
  await younger.upkeep.runOnce();
  const query = vi.spyOn(younger.database, 'query');
  await new Retention(younger.database, younger.instance, younger.telemetry, younger.config).runOnce();
  expect(query).toHaveBeenCalledTimes(1);
});
