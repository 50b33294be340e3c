import {
  createDatabase,
  eventually,
  FakeUpstream,
  FaultProxy,
  type Gateway,
  startGateway,
  startRedis,
  type TestDatabase,
  type TestRedis,
} from '@app/testing';
import { HELD_BY_REQUESTS } from '../../src/billing/accounts/account-statements.js';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { outcomes, percentileMs, type Seen, see } from '../support/measure-load.js';

/** In units of money; a known user may use a tenth of it, a stranger a hundredth. */
const CREDIT = 0.01;
/** Far below any time limit of the database, far above what a busy machine needs. */
const ALIVE_MS = 500;
const USERS = 12;

describe('Redis and Postgres both gone under load', () => {
  let upstream: FakeUpstream;
  let database: TestDatabase;
  let postgres: FaultProxy;
  let redis: TestRedis;
  let gateway: Gateway;
  let served = 0;

  beforeAll(async () => {
    upstream = await FakeUpstream.start();
    database = await createDatabase();
    postgres = await FaultProxy.start(database.url);
    redis = await startRedis();
    gateway = await startGateway({
      env: {
        ...upstream.env,
        DATABASE_URL: postgres.through(database.url),
        REDIS_URL: redis.url,
        RATE_LIMIT_STORAGE: 'redis',
        RATE_LIMIT_REQUESTS_PER_MINUTE: '100000',
        RATE_LIMIT_REQUESTS_PER_HOUR: '1000000',
        BILLING_OUTAGE_CREDIT: String(CREDIT),
      },
    });
    for (let index = 0; index < USERS; index++) expect((await seeAsked(index)).status).toBe(200);
  });
  afterAll(async () => {
    await gateway?.stop();
    await upstream?.stop();
    await postgres?.stop();
    await redis?.kill();
    await database?.drop();
  });

  const ask = (index: number): Promise<Response> =>
    gateway.complete(
      { model: 'gpt-4o-mini', max_tokens: 100, messages: [{ role: 'user', content: 'hello' }] },
      `user-${index % USERS}`,
    );

  /** Asks, and counts what was served: all of that has to be in the books at the end. */
  async function seeAsked(index: number): Promise<Seen> {
    const seen = await see(() => ask(index));
    if (seen.status === 200) served += 1;
    return seen;
  }

  const seeEverybody = (): Promise<Seen[]> =>
    Promise.all(Array.from({ length: 8 }, (_, index) => seeAsked(index)));

  const alive = (): Promise<Response> => gateway.fetch('/health', { headers: { connection: 'close' } });

  /** Load by 8 clients until told to stop, with `/health` asked all the while. */
  async function underLoad(work: () => Promise<void>): Promise<{ asked: Seen[]; health: Seen[] }> {
    const asked: Seen[] = [];
    const health: Seen[] = [];
    let running = true;
    const client = async (index: number): Promise<void> => {
      while (running) {
        asked.push(await seeAsked(index));
        await sleep(20);
      }
    };
    const prober = async (): Promise<void> => {
      while (running) {
        health.push(await see(alive));
        await sleep(20);
      }
    };
    const everybody = Promise.all([prober(), ...Array.from({ length: 8 }, (_, index) => client(index))]);
    await work();
    running = false;
    await everybody;
    return { asked, health };
  }

  async function booked(): Promise<{ charges: number; held: number; wrong: number }> {
    const [row] = await database.query<{ charges: number; held: string; wrong: number }>(
      `SELECT (SELECT count(*)::int FROM ledger WHERE kind = 'charge') AS charges,
              (SELECT coalesce(sum(${HELD_BY_REQUESTS}), 0)::text FROM account) AS held,
              (SELECT count(*)::int FROM account WHERE balance_nano < 0) AS wrong`,
    );
    return { charges: row?.charges ?? 0, held: Number(row?.held), wrong: row?.wrong ?? 0 };
  }

  const databaseRecords = () => gateway.logRecords.filter(({ context }) => context === 'Database');

  async function isWhole(): Promise<void> {
    await eventually('ready again', async () => (await gateway.fetch('/ready')).ok, 20_000, 100);
    await eventually('served again', async () => (await seeAsked(0)).status === 200, 20_000, 100);
    await eventually(
      'everything is booked',
      async () => {
        const { charges, held } = await booked();
        return charges >= served && held === 0;
      },
      20_000,
      100,
    );
    expect(await booked()).toEqual({ charges: served, held: 0, wrong: 0 });
  }

  it('serves up to the credit, then says 503; nobody is told that they are unknown or poor', async () => {
    const { asked, health } = await underLoad(async () => {
      await Promise.all([redis.kill(), postgres.refuse()]);
      await eventually(
        'the credit of the eight who ask is used up',
        async () => (await seeEverybody()).every(({ status }) => status === 503),
        20_000,
        50,
      );
      await eventually('the log tells of it', () => databaseRecords().some(({ level }) => level === 'error'));
      await sleep(500);
    });
    const seen = outcomes(asked);
    expect(Object.keys(seen).sort()).toEqual(['200', '503 database_unavailable']);
    expect(seen['200']).toBeGreaterThan(8);
    const refused = asked.filter(({ status }) => status === 503);
    expect(refused.every(({ retryAfter }) => Number(retryAfter) >= 1)).toBe(true);
    expect(outcomes(health)).toEqual({ '200': health.length });
    expect(percentileMs(health, 0.99)).toBeLessThan(ALIVE_MS);

    const metrics = await (await gateway.fetch('/metrics')).text();
    const used = Number(/^llm_gateway_outage_credit_used(?:{[^}]*})? (\S+)$/m.exec(metrics)?.[1]);
    expect(used).toBeGreaterThan(0);
    expect(used).toBeLessThanOrEqual(CREDIT);
  });

  it('recovers by itself, and every answer that was given is booked, once', async () => {
    await Promise.all([redis.restart(), postgres.accept()]);
    await isWhole();
    await eventually('limits are counted in Redis again', async () => {
      const response = await gateway.fetch('/billing/balance', { as: 'user-1' });
      return response.headers.get('x-ratelimit-mode') !== 'degraded';
    });
    // A line is written a moment after what it tells of.
    const back = /^the database is back, after \d+\.\d s$/;
    await eventually('the log tells of it', () => back.test(String(databaseRecords().at(-1)?.message)));
    const faults = databaseRecords().filter(({ level }) => level === 'error');
    expect(faults.map(({ message }) => message)).toEqual([
      expect.stringMatching(/^the database 127\.0\.0\.1:\d+\/\w+ is unavailable: ./),
    ]);
  });

  it('frozen instead of gone: liveness does not notice, requests wait a bounded time, and all is booked', async () => {
    const healthy = await underLoad(() => sleep(1_000));
    expect(outcomes(healthy.asked)).toEqual({ '200': healthy.asked.length });
    const { asked, health } = await underLoad(async () => {
      redis.pause();
      postgres.faults = { up: { blackhole: true }, down: { blackhole: true } };
      await sleep(5_000);
    });
    redis.resume();
    postgres.heal();
    expect(
      Object.keys(outcomes(asked)).filter((key) => !/^200$|^503 database_unavailable$/.test(key)),
    ).toEqual([]);
    expect(outcomes(health)).toEqual({ '200': health.length });
    expect(health.length).toBeGreaterThan(20);
    expect(percentileMs(health, 0.99)).toBeLessThan(ALIVE_MS);
    // One time limit of the database each for hold and settlement; afterwards its breaker answers at once.
    expect(percentileMs(asked, 1)).toBeLessThan(9_000);
    expect(percentileMs(asked, 0.5)).toBeLessThan(1_500);
    await isWhole();
  });
});
