import { setTimeout as sleep } from 'node:timers/promises';
import { Logger } from '@nestjs/common';
import { eventually, startRedis, type TestRedis } from '@app/testing';
import type { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { RedisLimitStore } from '../../src/limits/redis-limit-store.js';
import { ResilientLimitStore } from '../../src/limits/resilient-limit-store.js';
import { closeRedis, createRedis, waitUntilReady } from '../../src/redis/redis-client.js';
import { redisReason } from '../../src/redis/redis-reason.js';
import { RedisStatus } from '../../src/redis/redis-status.service.js';

let server: TestRedis;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.kill());

describe('the shared Redis client', () => {
  it('takes answers that came in time, however late this process reads them', async () => {
    const redis = createRedis(server.url);
    expect(await waitUntilReady(redis, 5_000)).toBe(true);
    const answers = Promise.allSettled(Array.from({ length: 10 }, () => redis.ping()));
    const untilMs = performance.now() + 150;
    // The commands leave with the turn's end; then this process is busy for longer than they may take.
    setImmediate(() => {
      while (performance.now() < untilMs);
    });
    expect(await answers).toEqual(Array(10).fill({ status: 'fulfilled', value: 'PONG' }));
    await closeRedis(redis);
  });

  it('gives up those that a frozen Redis does not answer, and leaves no timer of the others behind', async () => {
    const redis = createRedis(server.url);
    expect(await waitUntilReady(redis, 5_000)).toBe(true);
    await redis.ping();
    server.pause();
    const startedMs = performance.now();
    await expect(redis.ping()).rejects.toThrow('timed out');
    expect(performance.now() - startedMs).toBeLessThan(500);
    server.resume();
    await closeRedis(redis);
  });
});

describe('a Redis that answers, and takes nothing', () => {
  async function connect() {
    const redis = createRedis(server.url);
    expect(await waitUntilReady(redis, 5_000)).toBe(true);
    let losses = 0;
    redis.on('close', () => losses++);
    return { redis, losses: () => losses };
  }
  /** With what it is told at each change. */
  async function limitsOn(redis: ReturnType<typeof createRedis>) {
    const reasons: (string | undefined)[] = [];
    const store = new ResilientLimitStore(new RedisLimitStore(redis), {
      onMode: (_isDegraded, reason) => reasons.push(reason),
    });
    await store.start();
    return { store, reasons };
  }
  const rule = { name: 'minute', limit: 1000, windowMs: 60_000 };

  it.each([
    {
      as: 'a replica',
      begin: (redis: Redis) => redis.replicaof('127.0.0.1', 1),
      end: (redis: Redis) => redis.replicaof('NO', 'ONE'),
      reason: 'Redis is a read-only replica',
    },
    {
      as: 'a primary without its replicas',
      begin: (redis: Redis) => redis.config('SET', 'min-replicas-to-write', '1'),
      end: (redis: Redis) => redis.config('SET', 'min-replicas-to-write', '0'),
      reason: 'Redis is a primary without its replicas',
    },
  ])('as $as is connected to once more, and not ten times a second', async ({ begin, end, reason }) => {
    const { redis, losses } = await connect();
    const { store, reasons } = await limitsOn(redis);
    await redis.config('SET', 'replica-read-only', 'yes');
    await begin(redis);
    const untilMs = performance.now() + 2_500;
    while (performance.now() < untilMs) {
      await store.take([{ rule, key: 'u', cost: 1 }]);
      await sleep(20);
    }
    expect(losses()).toBe(1);
    expect(store.isDegraded).toBe(true);
    expect(reasons).toHaveLength(2);
    expect(redisReason(store.status.lastError)).toBe(reason);
    await end(redis);
    await eventually('it counts again', () => !store.isDegraded);
    store.stop();
    await closeRedis(redis);
  });

  it('as a node of a cluster that is down is connected to once more', async () => {
    const { redis, losses } = await connect();
    const ask = () => redis.eval("return redis.error_reply('CLUSTERDOWN The cluster is down')", 0);
    await expect(ask()).rejects.toThrow('CLUSTERDOWN');
    await eventually('it is connected to once more', () => losses() === 1 && redis.status === 'ready');
    await expect(ask()).rejects.toThrow('CLUSTERDOWN');
    await sleep(200);
    expect(losses()).toBe(1);
    await closeRedis(redis);
  });

  it('for want of memory keeps its connection, and is told by that', async () => {
    const { redis, losses } = await connect();
    const { store, reasons } = await limitsOn(redis);
    await redis.config('SET', 'maxmemory', '1');
    for (let index = 0; index < 5; index++) await store.take([{ rule, key: 'u', cost: 1 }]);
    expect(reasons.at(-1)).toMatch(/^OOM /);
    expect(redisReason(store.status.lastError)).toBe('Redis has no memory left (maxmemory)');
    const error = await redis.set('a', 'b').catch((reason: unknown) => reason);
    new RedisLimitStore(redis).reconnect(error);
    await sleep(200);
    expect(losses()).toBe(0);
    await redis.config('SET', 'maxmemory', '0');
    store.stop();
    await closeRedis(redis);
  });
});

describe('what the log is told of Redis', () => {
  const warn = vi.spyOn(Logger.prototype, 'warn');
  const log = vi.spyOn(Logger.prototype, 'log');
  let other: Redis;
  let redis: Redis;
  let status: RedisStatus;

  /** On a clock that stands still but for `advanceTimersByTime`: however long a connection takes here, it takes no time. */
  beforeEach(async () => {
    for (const spy of [warn, log]) spy.mockReset().mockReturnValue();
    other = createRedis(server.url);
    redis = createRedis(server.url);
    for (const client of [other, redis]) expect(await waitUntilReady(client, 5_000)).toBe(true);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    status = new RedisStatus(redis);
    status.onModuleInit();
  });
  afterEach(async () => {
    vi.useRealTimers();
    for (const client of [redis, other]) await closeRedis(client);
  });
  afterAll(() => vi.restoreAllMocks());

  const happens = (event: 'close' | 'ready') => new Promise<void>((resolve) => redis.once(event, resolve));
  async function lose(): Promise<void> {
    const lost = happens('close');
    redis.disconnect(true);
    await lost;
  }
  /** Lets the next connection be tried, and waits for what comes of it. */
  async function retry(outcome: 'close' | 'ready', afterMs: number): Promise<void> {
    const tried = happens(outcome);
    vi.advanceTimersByTime(afterMs);
    await tried;
  }
  const told = () => [...warn.mock.calls, ...log.mock.calls].map(([text]) => String(text));

  it('is no loss that is over at once', async () => {
    await lose();
    await retry('ready', 500);
    vi.advanceTimersByTime(10_000);
    expect(told()).toEqual([]);
  });

  it('is each loss once, with the reason of today', async () => {
    await other.config('SET', 'requirepass', 'another');
    await lose();
    await retry('close', 500);
    for (let tries = 0; tries < 5; tries++) await retry('close', 1_000);
    expect(told()).toEqual([expect.stringMatching(/^connection lost \(.*NOAUTH/)]);
    expect(await status.check()).toMatchObject({
      state: 'down',
      lastError: expect.stringContaining('NOAUTH'),
    });
    await other.config('SET', 'requirepass', '');
    await retry('ready', 1_000);
    expect(told().slice(1)).toEqual(['connected']);
    expect(await status.check()).toMatchObject({ state: 'up', lastError: undefined });
  });

  it('is each reason once in a loss, also when two take turns', async () => {
    for (let losses = 1; losses <= 2; losses++) {
      await other.config('SET', 'requirepass', 'another');
      await lose();
      for (let turns = 0; turns < 3; turns++) {
        for (const clients of ['1', '100']) {
          await other.config('SET', 'maxclients', clients);
          await retry('close', 1_000);
        }
      }
      await other.config('SET', 'requirepass', '');
      await retry('ready', 1_000);
      expect(told().filter((text) => text.includes('NOAUTH'))).toHaveLength(losses);
    }
  });
});
