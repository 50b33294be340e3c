import {
  createDatabase,
  eventually,
  FakeUpstream,
  FaultProxy,
  type Gateway,
  readEvents,
  startGateway,
  type TestDatabase,
} from '@app/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

describe('BILLING_OUTAGE_MODE=closed, and Postgres goes away', () => {
  let upstream: FakeUpstream;
  let database: TestDatabase;
  let postgres: FaultProxy;
  let gateway: Gateway;

  beforeAll(async () => {
    upstream = await FakeUpstream.start();
    database = await createDatabase();
    postgres = await FaultProxy.start(database.url);
    gateway = await startGateway({
      env: {
        ...upstream.env,
        DATABASE_URL: postgres.through(database.url),
        BILLING_OUTAGE_MODE: 'closed',
      },
    });
  });
  afterAll(async () => {
    await gateway?.stop();
    await upstream?.stop();
    await postgres?.stop();
    await database?.drop();
  });

  const ask = (more: Record<string, unknown> = {}): Promise<Response> =>
    gateway.complete(
      { model: 'gpt-4o-mini', max_tokens: 500, messages: [{ role: 'user', content: 'hello' }], ...more },
      'alice',
    );

  it('what runs is finished and charged; what comes gets 503, and no provider hears of it', async () => {
    expect((await ask()).status).toBe(200);
    await upstream.builtIn({ chunkDelayMs: 50, words: 30 });
    const running = readEvents(await ask({ stream: true }));
    await running.next();

    await postgres.refuse();
    const before = (await upstream.completions()).length;
    for (let turn = 0; turn < 4; turn += 1) {
      const refused = await ask();
      expect(refused.status).toBe(503);
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
      expect(await refused.json()).toMatchObject({ error: { code: 'database_unavailable' } });
    }
    expect((await upstream.completions()).length).toBe(before);
    let last = '';
    for await (const { data } of running) last = data;
    expect(last).toBe('[DONE]');

    await postgres.accept();
    await eventually('the stream is booked', async () => {
      const rows = await database.query(`SELECT 1 FROM ledger WHERE kind = 'charge'`);
      return rows.length === 2;
    });
    await eventually('served again', async () => (await ask()).status === 200);
  });
});
