import pg from 'pg';
import { DataSource } from 'typeorm';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { BEFORE_ALL_CHARGES, CHARGES_TO_RECOMPUTE } from '../../src/billing/audit/audit-statements.js';
import { AuditAlarms } from '../../src/billing/audit/audit-alarms.service.js';
import { runLedgerAudit } from '../../src/billing/audit/ledger-audit.js';
import { ScheduledAudit } from '../../src/billing/audit/scheduled-audit.service.js';
import { dataSourceOptions } from '../../src/database/data-source-options.js';
import { DatabaseHealth } from '../../src/database/database-health.js';
import { initialiseDataSource } from '../../src/database/migrations.js';
import { MARK_REPLAYED } from '../../src/billing/upkeep/upkeep-statements.js';
import {
  type BillingDatabase,
  type BillingMachine,
  connect,
  fund,
  openBillingDatabase,
  startMachine,
  userId,
} from './billing-support.js';

let db: BillingDatabase;
beforeEach(async () => {
  db = await openBillingDatabase(6);
});
afterEach(() => db.close());

const auditOf = (
  { database, instance, telemetry, config }: BillingMachine,
  alarms = new AuditAlarms(telemetry),
) => new ScheduledAudit(db.dataSource, database, instance, telemetry, alarms, config);
const told = ({ events }: BillingMachine) => events.filter(({ kind }) => kind === 'audit-mismatch');

it('is made by the oldest living instance, and by the next when that is gone', async () => {
  await using oldest = await startMachine(db.dataSource);
  await using younger = await startMachine(db.dataSource);
  await oldest.upkeep.runOnce();
  await younger.upkeep.runOnce();
  expect(await auditOf(younger).runOnce()).toBe(false);
  expect(await auditOf(oldest).runOnce()).toBe(true);
  expect(told(oldest).length).toBeGreaterThan(4);
  expect(told(younger)).toEqual([]);
  await oldest.database.query(MARK_REPLAYED, [oldest.instance.id, oldest.instance.host]);
  expect(await auditOf(younger).runOnce()).toBe(true);
});

it('tells of a balance that is not its ledger, and when it is again', async () => {
  const user = userId();
  await fund(db.dataSource, user, 100n);
  await using machine = await startMachine(db.dataSource);
  await machine.upkeep.runOnce();
  for (const [change, count] of [
    [1, 1],
    [-1, 0],
  ]) {
    await db.dataSource.query('UPDATE account SET balance_nano = balance_nano + $1 WHERE user_id = $2', [
      change,
      user,
    ]);
    await auditOf(machine).runOnce();
    expect(
      told(machine)
        .filter((event) => 'check' in event && event.check === 'balance_is_sum_of_ledger')
        .at(-1),
    ).toMatchObject({ count });
  }
});

it('is made by whoever has raised an alarm too, with what was found wrong, until it ends', async () => {
  await using oldest = await startMachine(db.dataSource);
  await using younger = await startMachine(db.dataSource);
  await oldest.upkeep.runOnce();
  await younger.upkeep.runOnce();
  const alarms = new AuditAlarms(younger.telemetry);
  const scheduled = auditOf(younger, alarms);
  const told = () =>
    younger.events.filter((event) => 'check' in event && event.check === 'charge_is_usage_times_price');
  const id = '00000000-0000-7000-8000-000000000001';
  await db.dataSource.query(`INSERT INTO account (user_id, balance_nano) VALUES ('user-1', 0)`);
  await db.dataSource.query(
    `INSERT INTO ledger (id, user_id, kind, counter_account, amount_nano, balance_after_nano, description, hold_id)
     VALUES ($1, 'user-1', 'charge', 'revenue', 0, 0, 'nothing was used', $1)`,
    [id],
  );
  // As somebody asks it through the API.
  alarms.report(await runLedgerAudit(db.dataSource));
  expect(told()).toMatchObject([{ count: 1 }]);
  expect(await scheduled.runOnce()).toBe(true);
  expect(told()).toMatchObject([{ count: 1 }, { count: 1 }]);
  await db.dataSource.query('ALTER TABLE ledger DISABLE TRIGGER ledger_append_only');
  await db.dataSource.query('DELETE FROM ledger WHERE id = $1', [id]);
  await db.dataSource.query('ALTER TABLE ledger ENABLE TRIGGER ledger_append_only');
  expect(await scheduled.runOnce()).toBe(true);
  expect(told().at(-1)).toMatchObject({ count: 0 });
  expect(alarms.raised.size).toBe(0);
  expect(await scheduled.runOnce()).toBe(false);
});

it('works charges out anew page by page along an index: no page reads the whole ledger', async () => {
  const plan = await db.dataSource.transaction(async (manager) => {
    // A scan or a sort that is still there has no index instead of it.
    await manager.query('SET LOCAL enable_seqscan = off');
    await manager.query('SET LOCAL enable_sort = off');
    await manager.query('SET LOCAL enable_hashjoin = off');
    // As over millions of rows: from where a join is told to begin.
    await manager.query('SET LOCAL enable_nestloop = off');
    const first = await manager.query<Record<string, string>[]>(`EXPLAIN ${CHARGES_TO_RECOMPUTE}`, [
      BEFORE_ALL_CHARGES,
      1000,
    ]);
    return first.map((row) => row['QUERY PLAN']).join('\n');
  });
  expect(plan).toMatch(/ledger_pkey on .*\n +Index Cond/);
  expect(plan).toMatch(/hold_pkey on .*\n +Index Cond/);
  expect(plan).not.toMatch(/Sort|Seq Scan on (ledger|hold)/);
});

it(
  'has time for a large ledger, and takes no slow answer for a database that is away',
  { timeout: 30_000 },
  async () => {
    await db.dataSource.query('ALTER TABLE lease RENAME TO lease_rows');
    await db.dataSource.query(
      `CREATE VIEW lease AS SELECT rows.* FROM (SELECT pg_sleep(2.7)) slow LEFT JOIN lease_rows rows ON true
      WHERE rows.id IS NOT NULL`,
    );
    // With the time limits of the gateway itself.
    const health = new DatabaseHealth();
    const dataSource = new DataSource(dataSourceOptions({ url: db.database.url, poolSize: 1, health }));
    await initialiseDataSource(dataSource);
    try {
      expect(await runLedgerAudit(dataSource)).toMatchObject({ ok: true });
      expect(health.isUp).toBe(true);
      // And for nothing else on that connection.
      await expect(dataSource.query('SELECT pg_sleep(2.7)')).rejects.toThrow(/statement timeout/);
    } finally {
      await dataSource.destroy();
    }
  },
);

it('counts every mismatch and keeps the first ones alone, however many there are', async () => {
  await db.dataSource.query(
    `INSERT INTO account (user_id, balance_nano) SELECT 'user-' || n, 1 FROM generate_series(1, 3000) n`,
  );
  await db.dataSource.query(
    `INSERT INTO ledger (id, user_id, kind, counter_account, amount_nano, balance_after_nano, description, hold_id)
     SELECT id, 'user-' || n, 'charge', 'revenue', 0, 0, 'nothing was used', id
       FROM (SELECT n, gen_random_uuid() AS id FROM generate_series(1, 3000) n) charges`,
  );
  const query = vi.spyOn(pg.Client.prototype, 'query');
  const dataSource = await connect(db.database.url, 1);
  const { checks, mismatches } = await runLedgerAudit(dataSource, { examples: 2 });
  const results = await Promise.all(query.mock.results.map(({ value }) => value as Promise<unknown>));
  vi.restoreAllMocks();
  await dataSource.destroy();
  const rowCounts = results.map((result) => (result instanceof pg.Result ? result.rows.length : 0));
  expect(checks).toMatchObject({
    balance_is_sum_of_ledger: 3000,
    captured_is_in_ledger: 3000,
    charge_is_usage_times_price: 3000,
    refund_is_within_charge: 0,
  });
  expect(mismatches.filter(({ check }) => check === 'captured_is_in_ledger')).toHaveLength(2);
  expect(mismatches.filter(({ check }) => check === 'charge_is_usage_times_price')).toHaveLength(2);
  expect(Math.max(...rowCounts)).toBe(1000);
});
