import { createDatabase, eventually, type Gateway, startGateway, type TestDatabase } from '@app/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { DatabaseHealth } from '../../src/database/database-health.js';
import { migrationOptions } from '../../src/database/data-source-options.js';
import { applyMigrations } from '../../src/database/migrations.js';

const ECHO = { model: 'echo', messages: [{ role: 'user', content: 'Hi' }] };
const BOOKING = { amount: '1', description: 'Invoice', idempotency_key: 'invoice' };

const ASKS: readonly (readonly [method: string, path: string, body?: object])[] = [
  ['GET', '/billing/balance'],
  ['GET', '/billing/transactions'],
  ['GET', '/billing/usage'],
  ['GET', '/billing/requests/some'],
  ['GET', '/admin/users'],
  ['GET', '/admin/transactions'],
  ['GET', '/admin/reports'],
  ['GET', '/admin/unknown-costs'],
  ['GET', '/admin/ledger/audit'],
  ['POST', '/admin/users/alice/topups', BOOKING],
  ['POST', '/admin/tokens/revoke', { sub: 'bob' }],
  ['POST', '/v1/chat/completions', ECHO],
];

let database: TestDatabase;
let gateway: Gateway;

beforeAll(async () => {
  database = await createDatabase({ migrated: false });
  gateway = await startGateway({
    env: { DATABASE_URL: database.url, DATABASE_MIGRATE: 'false', BILLING_OUTAGE_MODE: 'closed' },
    waitFor: '/health',
  });
});
afterAll(async () => {
  await gateway.stop();
  await database.drop();
});

function ask(method: string, path: string, body?: object): Promise<Response> {
  return gateway.fetch(path, {
    method,
    as: { sub: 'alice', role: 'admin' },
    headers: { 'content-type': 'application/json' },
    ...(body && { body: JSON.stringify(body) }),
  });
}

it('is not ready and refuses with 503 what needs tables that are not there, in one line of the log', async () => {
  const ready = await gateway.fetch('/ready');
  expect(ready.status).toBe(503);
  expect(await ready.json()).toMatchObject({ checks: { database: { details: { migrated: false } } } });
  for (const one of ASKS) {
    const response = await ask(...one);
    const { error } = (await response.json()) as { error: { code: string } };
    const told = [one[1], response.status, error.code, response.headers.has('retry-after')];
    expect(told).toEqual([one[1], 503, 'database_unavailable', true]);
  }
  expect(gateway.logRecords.filter(({ level }) => level === 'error')).toMatchObject([
    { context: 'Database', message: expect.stringContaining('lacks') as string },
  ]);
});

it('is ready, and says what is missing, where nothing is billed', async () => {
  await using unbilled = await startGateway({
    env: { DATABASE_URL: database.url, DATABASE_MIGRATE: 'false', BILLING_ENABLED: 'false' },
  });
  expect(await (await unbilled.fetch('/ready')).json()).toMatchObject({
    checks: { database: { status: 'degraded', details: { reason: 'migrations are pending' } } },
  });
  expect((await unbilled.complete(ECHO, 'alice')).status).toBe(200);
});

it('serves by itself when somebody has migrated', async () => {
  await applyMigrations(migrationOptions({ url: database.url, poolSize: 2, health: new DatabaseHealth() }));
  await eventually('it is ready', async () => (await gateway.fetch('/ready')).ok);
  // The money's own breaker was opened by the refusals.
  await eventually('it serves', async () => (await ask('GET', '/billing/balance')).ok);
  for (const one of ASKS) expect([one[1], (await ask(...one)).status < 500]).toEqual([one[1], true]);
});
