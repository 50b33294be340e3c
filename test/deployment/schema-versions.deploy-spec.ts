import { createDatabase, type Gateway, startGateway, TEST_JWT_SECRET, type TestDatabase } from '@app/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { PROJECT, run } from './programs.js';

/**
 * What the next version's migrations may do while this version still runs: add tables, columns that may be empty or have a
 * default, and indexes. (Contracting comes a release later, when nobody reads the old form any more.)
 */
const EXPANSION = [
  'ALTER TABLE ledger ADD COLUMN next_version text',
  "ALTER TABLE hold ADD COLUMN next_version text NOT NULL DEFAULT 'x'",
  'ALTER TABLE account ADD COLUMN next_version bigint NOT NULL DEFAULT 0 CHECK (next_version >= 0)',
  'CREATE TABLE next_version (id uuid PRIMARY KEY, account text NOT NULL)',
  'CREATE INDEX ledger_next_version ON ledger (next_version)',
  "INSERT INTO gateway_migrations (timestamp, name) VALUES (9999999999999, 'NextVersion9999999999999')",
];

let database: TestDatabase;
let running: Gateway;
let environment: Record<string, string>;

beforeAll(async () => {
  database = await createDatabase();
  environment = { DATABASE_URL: database.url, RATE_LIMIT_REQUESTS_PER_MINUTE: '0' };
  running = await startGateway({ env: environment });
});

afterAll(async () => {
  await running?.stop();
  await database?.drop();
});

async function serve(gateway: Gateway, count: number): Promise<number[]> {
  const statuses: number[] = [];
  for (let index = 0; index < count; index++) {
    const answer = await gateway.complete({
      model: 'echo',
      messages: [{ role: 'user', content: `hello ${index}` }],
    });
    await answer.text();
    statuses.push(answer.status);
  }
  return statuses;
}

const cli = (command: string) =>
  run(process.execPath, ['dist/src/cli.js', command], {
    cwd: PROJECT,
    env: { ...process.env, ...environment, JWT_SECRET_KEY: TEST_JWT_SECRET, DATABASE_MIGRATE: 'false' },
  });

it('a version that runs goes on after the next one has expanded the schema', async () => {
  const serving = serve(running, 60);
  for (const statement of EXPANSION) await database.query(statement);
  expect(new Set(await serving)).toEqual(new Set([200]));
  expect(new Set(await serve(running, 10))).toEqual(new Set([200]));
});

it('a version starts on the schema of the next one: that is the way back', async () => {
  await using rolledBack = await startGateway({ env: environment });
  expect(new Set(await serve(rolledBack, 10))).toEqual(new Set([200]));
  expect((await cli('check:db')).stdout).toContain('pending migrations: none');
});

it('the books of both balance', async () => {
  const { code, stdout } = await cli('audit:ledger');
  expect(stdout).toContain('the books balance');
  expect(code).toBe(0);
});
