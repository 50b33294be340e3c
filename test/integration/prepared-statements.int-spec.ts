import { createDatabase, runSql, type TestDatabase } from '@app/testing';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { HOLD_BATCH, HOLD_ONE, HOLD_SIMPLE } from '../../src/billing/holds/hold-statements.js';
import { SETTLE_BATCH, SETTLE_ONE } from '../../src/billing/settle/settle-statements.js';
import { DatabaseHealth } from '../../src/database/database-health.js';
import { PreparedStatements } from '../../src/database/prepared-statements.js';
import { startPickyPooler } from '../support/picky-pooler.js';

let database: TestDatabase;
const opened: PreparedStatements[] = [];
beforeAll(async () => {
  database = await createDatabase();
});
afterEach(async () => {
  for (const statements of opened.splice(0)) await statements.end();
});
afterAll(() => database.drop());

function open(
  preparedStatements: 'auto' | 'off' = 'auto',
  url = database.url,
  changes: { poolSize?: number; health?: DatabaseHealth } = {},
): PreparedStatements {
  const statements = new PreparedStatements({
    url,
    poolSize: 1,
    health: new DatabaseHealth(),
    preparedStatements,
    ...changes,
  });
  opened.push(statements);
  return statements;
}

/** How many statements the one connection of `statements` keeps. The counter itself is one of them. */
async function kept(statements: PreparedStatements): Promise<number> {
  const [row] = await statements.query<{ n: string }>(
    `SELECT count(*) AS n FROM pg_prepared_statements WHERE statement LIKE '%the answer%'`,
  );
  return Number(row?.n);
}
const ASK = `SELECT $1::int AS "the answer"`;
const ask = (statements: PreparedStatements): Promise<object[]> => statements.query(ASK, [42]);
const ANSWER = [{ 'the answer': 42 }];

it('keeps a statement parsed and planned, once for each connection', async () => {
  const statements = open();
  for (let time = 0; time < 3; time += 1) expect(await ask(statements)).toEqual(ANSWER);
  expect(await kept(statements)).toBe(2);
  expect(statements.preparing).toBe(true);
});

it('keeps none when it is switched off', async () => {
  const statements = open('off');
  expect(await ask(statements)).toEqual(ANSWER);
  expect(await kept(statements)).toBe(0);
});

it('keeps none on the port of a transaction pooler', () => {
  const url = new URL(database.url);
  url.port = '6543';
  expect(open('auto', url.toString()).preparing).toBe(false);
});

it('leaves the options of the connection string in place', async () => {
  const url = new URL(database.url);
  url.searchParams.set('options', '-c work_mem=1234kB');
  for (const preparedStatements of ['auto', 'off'] as const) {
    expect(await open(preparedStatements, url.toString()).query('SHOW work_mem')).toEqual([
      { work_mem: '1234kB' },
    ]);
  }
});

describe('behind a transaction pooler', () => {
  it('asks again without a name when the other connection has none of that name', async () => {
    const statements = open();
    await ask(statements);
    await statements.query('DEALLOCATE ALL');
    expect(await ask(statements)).toEqual(ANSWER);
    expect(statements.preparing).toBe(false);
    expect(await kept(statements)).toBe(0);
  });

  it('asks again without a name when the other connection has it already', async () => {
    const statements = open();
    // what another client of the pooler prepared on the connection that is ours now
    const [name] = await namesAfterAsking();
    await statements.query(`PREPARE ${name} AS SELECT 1`);
    expect(await ask(statements)).toEqual(ANSWER);
    expect(statements.preparing).toBe(false);
  });

  it('that refuses eight connections at the same moment is no outage', async () => {
    const pooler = await startPickyPooler(database.url, ['plan_cache_mode', 'statement_timeout'], 8);
    const health = new DatabaseHealth();
    const statements = open('auto', pooler.url, { poolSize: 8, health });
    const answers = await Promise.all(Array.from({ length: 8 }, () => ask(statements)));
    expect(answers).toEqual(Array.from({ length: 8 }, () => ANSWER));
    expect(health).toMatchObject({ isUp: true, lastError: undefined });
    expect(statements.preparing).toBe(false);
    pooler.close();
  });

  it('does each statement once', async () => {
    await runSql(database.url, 'CREATE TABLE done (n int)');
    const statements = open();
    const insert = 'INSERT INTO done VALUES ($1)';
    await statements.query(insert, [1]);
    await statements.query('DEALLOCATE ALL');
    await statements.query(insert, [2]);
    expect(await statements.query('SELECT n FROM done ORDER BY n')).toEqual([{ n: 1 }, { n: 2 }]);
  });

  async function namesAfterAsking(): Promise<string[]> {
    const statements = open();
    await ask(statements);
    const rows = await statements.query<{ name: string }>(
      `SELECT name FROM pg_prepared_statements WHERE statement = '${ASK.replaceAll("'", "''")}'`,
    );
    return rows.map((row) => row.name);
  }
});

it('goes on when a table behind a kept statement has changed', async () => {
  await runSql(database.url, 'CREATE TABLE changing (a int); INSERT INTO changing VALUES (1)');
  const statements = open();
  expect(await statements.query('SELECT * FROM changing')).toEqual([{ a: 1 }]);
  await runSql(database.url, 'ALTER TABLE changing ADD b int');
  expect(await statements.query('SELECT * FROM changing')).toEqual([{ a: 1, b: null }]);
});

it('says what the database said about the statement itself, and goes on preparing', async () => {
  const statements = open();
  await expect(statements.query('SELECT nonsense')).rejects.toMatchObject({ code: '42703' });
  expect(statements.preparing).toBe(true);
});

/** Kept plans are made on the first requests of a new installation, and must be right for its millionth. */
it.for(Object.entries({ HOLD_SIMPLE, HOLD_ONE, HOLD_BATCH, SETTLE_ONE, SETTLE_BATCH }))(
  '%s is planned without reading a table from end to end, while the tables are empty',
  async ([, sql]) => {
    const statements = open();
    await statements.query(`DO $do$ BEGIN EXECUTE $sql$ PREPARE plan AS ${sql} $sql$; END $do$`);
    const nulls = Array.from(new Set(sql.match(/\$\d+/g)), () => 'NULL').join();
    const rows = await statements.query<{ 'QUERY PLAN': string }>(`EXPLAIN EXECUTE plan(${nulls})`);
    const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
    expect(plan).toMatch(/Index (Only )?Scan/);
    expect(plan).not.toMatch(/Seq Scan on (account|hold|ledger)/);
  },
);
