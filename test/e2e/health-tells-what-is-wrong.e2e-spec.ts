import {
  createDatabase,
  eventually,
  FakeUpstream,
  FaultProxy,
  type Gateway,
  startGateway,
  startRedis,
  type TestDatabase,
} from '@app/testing';
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest';

interface Detailed {
  status: string;
  components: Record<string, { status: string; latency_ms: number; details: Record<string, unknown> }> & {
    providers: Record<string, { status: string; details: Record<string, unknown> }>;
  };
}

let database: TestDatabase;
let upstream: FakeUpstream;
let postgres: FaultProxy;
let gateway: Gateway;

beforeAll(async () => {
  database = await createDatabase();
  upstream = await FakeUpstream.start();
  postgres = await FaultProxy.start(inject('postgresUrl'));
  gateway = await startGateway({
    env: {
      ...upstream.env,
      DATABASE_URL: postgres.through(database.url),
      CIRCUIT_BREAKER_FAILURE_THRESHOLD: '2',
      CIRCUIT_BREAKER_RECOVERY_TIMEOUT: '600',
      RETRY_ENABLED: 'false',
      BILLING_OUTAGE_MODE: 'closed',
    },
  });
});
afterEach(() => postgres.heal());
afterAll(async () => {
  await gateway.stop();
  await postgres.stop();
  await upstream.stop();
  await database.drop();
});

const detailed = async () => (await (await gateway.fetch('/health/detailed')).json()) as Detailed;

/** @returns status, body and milliseconds of one GET on a new connection */
async function timed(path: string) {
  const startedMs = performance.now();
  const response = await gateway.fetch(path, { headers: { connection: 'close' } });
  const body = (await response.json()) as Record<string, unknown>;
  return { status: response.status, body, ms: performance.now() - startedMs };
}

describe('a healthy instance', () => {
  it('says so on every route, without a token', async () => {
    expect(await timed('/health')).toMatchObject({ status: 200, body: { status: 'healthy' } });
    expect(await timed('/ready')).toMatchObject({ status: 200, body: { status: 'ready', draining: false } });
    const report = await detailed();
    expect(report.status).toBe('healthy');
    expect(Object.keys(report.components)).toEqual(
      expect.arrayContaining([
        'database',
        'cache',
        'billing_journal',
        'event_loop',
        'rate_limits',
        'providers',
      ]),
    );
    expect(Object.keys(report.components.providers)).toEqual(
      expect.arrayContaining(['openai', 'anthropic', 'google', 'echo']),
    );
    for (const component of [report.components.database, report.components.cache]) {
      expect(component).toMatchObject({
        status: 'up',
        latency_ms: expect.any(Number),
        details: expect.any(Object),
      });
    }
  });

  it('describes its process', async () => {
    const { body } = await timed('/health/system');
    for (const key of [
      'cpu',
      'memory',
      'heap',
      'event_loop',
      'disk',
      'load',
      'connections',
      'uptime_seconds',
      'version',
    ]) {
      expect(body).toHaveProperty(key);
    }
    expect(body).toMatchObject({
      memory: { rss_bytes: expect.any(Number) },
      disk: { free_bytes: expect.any(Number) },
    });
  });

  it('remembers past checks, and takes only a sane limit', async () => {
    const { body } = await timed('/health/history?limit=1');
    expect(body).toMatchObject({
      count: 1,
      // Also in the first look.
      history: [
        {
          timestamp: expect.any(String),
          status: expect.any(String),
          components: { billing_journal: { status: 'up' } },
        },
      ],
    });
    for (const limit of ['0', '-1', '1001', 'all', '1.5', '']) {
      const refused = await timed(`/health/history?limit=${limit}`);
      expect(refused).toMatchObject({
        status: 400,
        body: { error: { code: 'invalid_query', param: 'limit' } },
      });
    }
  });

  it('asks a provider at most once in 30 s, however often somebody looks', async () => {
    await detailed();
    await upstream.reset();
    await Promise.all(Array.from({ length: 20 }, detailed));
    expect(await upstream.requests()).toEqual([]);
  });
});

describe('a provider that fails', () => {
  it('shows in its circuit breaker, in the components and not in readiness', async () => {
    await upstream.answerAlways(
      { status: 500, body: { json: { error: { message: 'broken' } } } },
      { vendor: 'openai' },
    );
    const hello = { model: 'gpt-4', messages: [{ role: 'user', content: 'hello' }] };
    for (let i = 0; i < 3; i++) await (await gateway.complete(hello)).text();
    await upstream.reset();

    const { body } = await timed('/health/circuit-breakers');
    expect(body).toMatchObject({
      circuit_breakers: {
        openai: {
          state: 'open',
          failures: 2,
          opened_at: expect.any(String),
          next_attempt_at: expect.any(String),
          last_failure: { at: expect.any(String), code: expect.any(String), status: 500, connection: null },
          models: { 'gpt-4': { state: 'open' } },
        },
        anthropic: { state: 'closed', failures: 0, opened_at: null, next_attempt_at: null },
      },
    });
    const report = await detailed();
    expect(report.status).toBe('degraded');
    expect(report.components.providers.openai).toMatchObject({
      status: 'down',
      details: { circuit: 'open' },
    });
    expect(report.components.providers.anthropic).toMatchObject({ status: 'up' });
    expect((await timed('/ready')).status).toBe(200);
  });
});

describe('a frozen database', () => {
  it('never holds a route: alive at once, not ready within a second, and back when it thaws', async () => {
    postgres.faults = { down: { stallAfterBytes: 0 } };
    await eventually('not ready', async () => (await timed('/ready')).status === 503, 10_000);

    const [alive, ready, report, system] = await Promise.all(
      ['/health', '/ready', '/health/detailed', '/health/system'].map(timed),
    );
    expect(alive?.status).toBe(200);
    expect(alive?.ms).toBeLessThan(500);
    expect(ready).toMatchObject({
      status: 503,
      body: {
        status: 'not_ready',
        checks: { database: { status: 'down' } },
        error: { type: 'overloaded_error' },
      },
    });
    expect(ready?.ms).toBeLessThan(1_500);
    expect(report).toMatchObject({ status: 200, body: { status: 'unhealthy' } });
    expect(report?.ms).toBeLessThan(1_500);
    expect(system?.status).toBe(200);
    expect(JSON.stringify(report?.body)).not.toMatch(/postgres:\/\/|127\.0\.0\.1:\d+|password/);

    postgres.heal();
    await eventually('ready again', async () => (await timed('/ready')).status === 200, 15_000);
  });
});

describe('Redis', () => {
  it('that goes away degrades cache and limits, and readiness stays', async () => {
    await using redis = await startRedis();
    await using withRedis = await startGateway({
      env: { DATABASE_URL: database.url, REDIS_URL: redis.url, RATE_LIMIT_STORAGE: 'redis' },
    });
    const report = async () => (await (await withRedis.fetch('/health/detailed')).json()) as Detailed;
    expect((await report()).components.cache).toMatchObject({ status: 'up', details: { store: 'redis' } });
    await redis.stop();
    await eventually(
      'limits degraded',
      async () => {
        await withRedis.fetch('/billing/balance', { as: 'alice' });
        return (await report()).components.rate_limits?.status === 'degraded';
      },
      10_000,
      200,
    );
    const now = await report();
    expect(now.status).toBe('degraded');
    expect(now.components.cache?.status).toBe('degraded');
    expect((await withRedis.fetch('/ready')).status).toBe(200);
  });
});

describe('an instance that is told to stop', () => {
  it('is not ready any more on its open connections, and finishes its stream', async () => {
    await using leaving = await startGateway({ env: { ...upstream.env, DATABASE_URL: database.url } });
    await upstream.builtIn({ chunkDelayMs: 100, words: 25 });
    const stream = await leaving.complete({
      model: 'claude-3',
      stream: true,
      messages: [{ role: 'user', content: 'a long story' }],
    });
    const kept = await leaving.fetch('/ready');
    expect(kept.status).toBe(200);
    await kept.text();
    await leaving.kill('SIGTERM');
    const draining = await eventually(
      'draining',
      async () => {
        const response = await leaving.fetch('/ready');
        // Read in any case: else the connection is not free for the next one, and there will be no other.
        const body = (await response.json()) as Record<string, unknown>;
        return response.status === 503 && body;
      },
      3_000,
      20,
    );
    expect(draining).toMatchObject({ draining: true, error: { code: 'draining' } });
    expect(await stream.text()).toContain('data: [DONE]');
    const exit = await eventually('the end', () => Promise.resolve(leaving.exit), 10_000);
    expect(exit).toMatchObject({ code: 0 });
    await upstream.reset();
  });
});
