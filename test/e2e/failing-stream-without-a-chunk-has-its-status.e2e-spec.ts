import { createDatabase, FakeUpstream, type Gateway, startGateway, type TestDatabase } from '@app/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';

let database: TestDatabase;
let upstream: FakeUpstream;
let gateway: Gateway;

beforeAll(async () => {
  database = await createDatabase();
  upstream = await FakeUpstream.start();
  const env = { ...upstream.env, DATABASE_URL: database.url, BILLING_DEFAULT_BALANCE: '0.000000001' };
  gateway = await startGateway({ env });
});
afterAll(async () => {
  await gateway?.stop();
  await upstream?.stop();
  await database?.drop();
});

it('a stream that is refused before it begins is a plain error, not a 200 with an error inside', async () => {
  const response = await gateway.complete(
    { model: 'gpt-4', stream: true, messages: [{ role: 'user', content: 'hello' }] },
    'poor',
  );
  expect(response.status).toBe(402);
  expect(response.headers.get('content-type')).toMatch(/^application\/json/);
  expect(response.headers.get('x-should-retry')).toBe('false');
  expect(await response.json()).toMatchObject({ error: { code: 'insufficient_balance' } });
});
