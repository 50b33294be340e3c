import { eventually, startRedis, type TestRedis } from '@app/testing';
import { CACHE_MANAGER } from '@nestjs/cache-manager';
import { Global, Module } from '@nestjs/common';
import { setTimeout as sleep } from 'node:timers/promises';
import { Test, type TestingModule } from '@nestjs/testing';
import type { Cache } from 'cache-manager';
import type { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CacheModule } from '../../src/cache/cache.module.js';
import type { CachedAnswer } from '../../src/cache/cached-answer.js';
import { ResponseCache } from '../../src/cache/response-cache.service.js';
import { APP_CONFIG } from '../../src/config/app-config.js';
import { Secret } from '../../src/config/secret.js';
import { REDIS } from '../../src/redis/redis-client.js';
import { RedisModule } from '../../src/redis/redis.module.js';
import { RedisStatus } from '../../src/redis/redis-status.service.js';
import { type GatewayEvent, Telemetry } from '../../src/telemetry/telemetry.js';

/** A command waits 150 ms at most; the machine may hold it up. */
const SOON_MS = 600;
const PLAN = { key: 'k', ttlMs: 60_000 };
const ANSWER: CachedAnswer = {
  kind: 'stream',
  events: [{ json: '{"a":1}', outputText: 'x', usageOnly: false, finishReason: 'stop' }],
  usage: { inputTokens: 1, outputTokens: 2 },
  target: { provider: 'p', upstreamModel: 'u', priceVersion: 'v' },
};

let server: TestRedis;
const modules: TestingModule[] = [];
let events: GatewayEvent[];

/** An instance of the gateway, as far as it caches. */
async function startInstance(url: string | undefined): Promise<TestingModule> {
  events = [];
  const telemetry = new Telemetry();
  telemetry.addSink({ event: (told) => events.push(told) });
  const config = {
    redis: { url: url === undefined ? undefined : new Secret(url) },
    timeouts: { requestMs: 1000 },
    cache: { responseMaxBytes: 100_000, responseTtlMs: 1000 },
  };

  @Global()
  @Module({
    providers: [
      { provide: APP_CONFIG, useValue: config },
      { provide: Telemetry, useValue: telemetry },
    ],
    exports: [APP_CONFIG, Telemetry],
  })
  class Surroundings {}

  const module = await Test.createTestingModule({
    imports: [Surroundings, RedisModule, CacheModule],
  }).compile();
  modules.push(module);
  await module.init();
  return module;
}

async function timed<T>(work: Promise<T>): Promise<{ result: T; ms: number }> {
  const startedMs = performance.now();
  return { result: await work, ms: performance.now() - startedMs };
}

/** One of many may be held up by the machine. */
function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[values.length >> 1]!;
}

beforeEach(async () => {
  server = await startRedis();
});

afterEach(async () => {
  for (const module of modules.splice(0)) await module.close();
  await server.kill();
});

describe('the response cache in Redis', () => {
  it('is shared by instances, and forgets in time', async () => {
    const [first, second] = [await startInstance(server.url), await startInstance(server.url)];
    await first.get(ResponseCache).store({ ...PLAN, ttlMs: 150 }, ANSWER);
    expect(await second.get(ResponseCache).lookup(PLAN)).toEqual(ANSWER);
    await eventually('forgotten', async () => (await second.get(ResponseCache).lookup(PLAN)) === undefined);
  });

  it('has nothing while Redis is frozen, soon, and pays for it once a second', async () => {
    const cache = (await startInstance(server.url)).get(ResponseCache);
    await cache.store(PLAN, ANSWER);
    server.pause();
    const first = await timed(cache.lookup(PLAN));
    expect(first.result).toBeUndefined();
    expect(first.ms).toBeLessThan(SOON_MS);
    const waitsMs: number[] = [];
    for (let index = 0; index < 20; index++) {
      const next = await timed(cache.lookup(PLAN));
      expect(next.result).toBeUndefined();
      waitsMs.push(next.ms);
    }
    expect(median(waitsMs)).toBeLessThan(20);
    expect(events.filter((told) => told.kind === 'cache' && told.outcome === 'error')).toHaveLength(1);
    server.resume();
    await eventually('back', async () => (await cache.lookup(PLAN)) !== undefined);
  });

  it('neither fails nor waits while Redis is gone, and works again when it is back', async () => {
    const cache = (await startInstance(server.url)).get(ResponseCache);
    await server.kill();
    const stored = await timed(cache.store(PLAN, ANSWER));
    expect(stored.ms).toBeLessThan(SOON_MS);
    expect(await cache.lookup(PLAN)).toBeUndefined();
    await server.restart();
    await eventually('kept again', async () => {
      await cache.store(PLAN, ANSWER);
      return (await cache.lookup(PLAN)) !== undefined;
    });
  });

  it('starts without Redis', async () => {
    await server.kill();
    const module = await startInstance(server.url);
    expect(await module.get(ResponseCache).lookup(PLAN)).toBeUndefined();
    expect(await module.get(RedisStatus).check()).toMatchObject({ state: 'down' });
  });

  it('is told to be silent since it was first asked in vain, not since it was connected', async () => {
    const status = (await startInstance(server.url)).get(RedisStatus);
    const connected = (await status.check()).since;
    await sleep(30);
    const askedMs = Date.now();
    server.pause();
    try {
      const silent = await status.check();
      expect(silent.state).toBe('down');
      expect(silent.since.getTime()).toBeGreaterThanOrEqual(askedMs);
      await sleep(30);
      expect((await status.check()).since).toEqual(silent.since);
    } finally {
      server.resume();
    }
    expect(
      await eventually('it answers', async () => {
        const now = await status.check();
        return now.state === 'up' && now;
      }),
    ).toMatchObject({ since: connected });
  });

  it('takes somebody else’s value under its key for nothing', async () => {
    const module = await startInstance(server.url);
    await module.get<Redis>(REDIS).set('llm-gateway:answers:k', '{"kind":"whole"}');
    expect(await module.get(ResponseCache).lookup(PLAN)).toBeUndefined();
  });
});

describe('CACHE_MANAGER', () => {
  it.each([['redis'], ['memory']])('sets, gets, forgets and deletes in %s', async (store) => {
    const cache = (await startInstance(store === 'redis' ? server.url : undefined)).get<Cache>(CACHE_MANAGER);
    await cache.set('a', { n: 1 }, 60_000);
    await cache.set('b', 'short', 50);
    expect(await cache.get('a')).toEqual({ n: 1 });
    expect(await cache.get('none')).toBeUndefined();
    await eventually('b is forgotten', async () => (await cache.get('b')) === undefined);
    await cache.del('a');
    expect(await cache.get('a')).toBeUndefined();
  });

  it('misses soon when Redis is frozen or gone, and never throws', async () => {
    const cache = (await startInstance(server.url)).get<Cache>(CACHE_MANAGER);
    await cache.set('a', 1, 60_000);
    server.pause();
    const frozen = await timed(cache.get('a'));
    expect(frozen.result).toBeUndefined();
    expect(frozen.ms).toBeLessThan(SOON_MS);
    const waitsMs: number[] = [];
    for (let index = 0; index < 20; index++) waitsMs.push((await timed(cache.get('a'))).ms);
    expect(median(waitsMs)).toBeLessThan(20);
    await server.kill();
    const gone = await timed(cache.get('a'));
    expect(gone.result).toBeUndefined();
    expect(gone.ms).toBeLessThan(SOON_MS);
    await cache.set('a', 2, 60_000);
  });

  it('does not flush the database on clear()', async () => {
    const module = await startInstance(server.url);
    const redis = module.get<Redis>(REDIS);
    await redis.set('foreign', 'kept');
    await module
      .get<Cache>(CACHE_MANAGER)
      .clear()
      .catch(() => undefined);
    expect(await redis.get('foreign')).toBe('kept');
  });
});

describe('RedisStatus', () => {
  it('tells up, down and off', async () => {
    const module = await startInstance(server.url);
    const status = module.get(RedisStatus);
    const latencyMs = await eventually('up', async () => {
      const { state, latencyMs: measured } = await status.check();
      return state === 'up' && measured;
    });
    expect(latencyMs).toBeGreaterThan(0);
    server.pause();
    const frozen = await timed(status.check());
    expect(frozen.result.state).toBe('down');
    expect(frozen.ms).toBeLessThan(SOON_MS);
    server.resume();
    await eventually('up', async () => (await status.check()).state === 'up');
    expect(await (await startInstance(undefined)).get(RedisStatus).check()).toMatchObject({ state: 'off' });
  });
});
