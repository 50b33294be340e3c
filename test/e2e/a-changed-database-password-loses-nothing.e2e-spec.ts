import {
  createDatabase,
  eventually,
  FakeUpstream,
  type Gateway,
  readEvents,
  runSql,
  startGateway,
  type TestDatabase,
} from '@app/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const ROLE = 'gateway_of_this_test';

describe('the password of the database is changed while the gateway runs', () => {
  let upstream: FakeUpstream;
  let database: TestDatabase;
  let gateway: Gateway;

  const urlWith = (password: string): string => {
    const url = new URL(database.url);
    url.username = ROLE;
    url.password = password;
    return url.toString();
  };
  const start = (password: string, dataDir?: string): Promise<Gateway> =>
    startGateway({
      ...(dataDir !== undefined && { dataDir }),
      env: { ...upstream.env, DATABASE_URL: urlWith(password), BILLING_OUTAGE_MODE: 'closed' },
    });
  const ask = (more: Record<string, unknown> = {}, as = 'alice'): Promise<Response> =>
    gateway.complete({ model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'hello' }], ...more }, as);
  const charges = async (): Promise<number> =>
    (await database.query(`SELECT 1 FROM ledger WHERE kind = 'charge'`)).length;

  beforeAll(async () => {
    upstream = await FakeUpstream.start();
    database = await createDatabase();
    await runSql(database.url, `CREATE ROLE ${ROLE} SUPERUSER LOGIN PASSWORD 'old'`);
    gateway = await start('old');
  });
  afterAll(async () => {
    await gateway?.stop();
    await upstream?.stop();
    await runSql(database.url, `DROP ROLE ${ROLE}`);
    await database?.drop();
  });

  it('is 503 to clients and to whoever asks /ready, and what ran is booked after the restart', async () => {
    expect((await ask()).status).toBe(200);
    await eventually('the first is booked', async () => (await charges()) === 1);
    await upstream.builtIn({ chunkDelayMs: 50, words: 30 });
    const running = await Promise.all([ask({ stream: true }), ask({ stream: true }, 'bob')]);
    const streams = running.map((response) => readEvents(response));
    for (const stream of streams) await stream.next();

    await runSql(database.url, `ALTER ROLE ${ROLE} PASSWORD 'new'`);
    await runSql(
      database.url,
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '${ROLE}'`,
    );
    for (const path of ['/v1/chat/completions', '/billing/balance', '/billing/transactions']) {
      for (const user of ['alice', 'carol', 'dave']) {
        const refused =
          path === '/v1/chat/completions' ? await ask({}, user) : await gateway.fetch(path, { as: user });
        expect(refused.status, path).toBe(503);
        expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
        expect(await refused.json()).toMatchObject({
          error: { code: 'database_unavailable', type: 'overloaded_error', message: expect.any(String) },
        });
      }
    }
    await eventually('/ready is 503', async () => (await gateway.fetch('/ready')).status === 503);
    for (const stream of streams) {
      let last = '';
      for await (const { data } of stream) last = data;
      expect(last).toBe('[DONE]');
    }
    expect(await charges()).toBe(1);
    const told = gateway.logRecords.filter(({ context }) => context === 'Database');
    expect(told).toContainEqual(
      expect.objectContaining({
        level: 'error',
        message: expect.stringContaining('password authentication'),
      }),
    );
    expect(gateway.logs).not.toMatch(/set aside|unexpected/i);

    await gateway.stop();
    gateway = await start('new', gateway.dataDir);
    await eventually('both streams are booked', async () => (await charges()) === 3);
    expect((await ask()).status).toBe(200);
    await eventually('the next is booked', async () => (await charges()) === 4);
    const audit = await gateway.fetch('/admin/ledger/audit', { as: { sub: 'root', role: 'admin' } });
    expect(await audit.json()).toMatchObject({ ok: true });
  });
});
