import { eventually, startRedis, type TestRedis } from '@app/testing';
import type { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Charge, Decision, WindowRule } from '../../src/limits/limit-store.js';
import { RedisLimitStore } from '../../src/limits/redis-limit-store.js';
import { ResilientLimitStore } from '../../src/limits/resilient-limit-store.js';
import { createRedis, waitUntilReady } from '../../src/redis/redis-client.js';

/** Longer than any test: what is counted stays counted. */
const MINUTE: WindowRule = { name: 'minute', limit: 10, windowMs: 60_000 };
/** The promise is 50 ms; this machine may be busy with other tests. */
const SOON_MS = 300;

let server: TestRedis;
const clients: Redis[] = [];
const stores: ResilientLimitStore[] = [];

interface Instance {
  readonly store: ResilientLimitStore;
  readonly redis: Redis;
  /** Every change of mode, the first one included: true = degraded. */
  readonly modes: boolean[];
}

async function startInstance(): Promise<Instance> {
  const redis = createRedis(server.url);
  clients.push(redis);
  await waitUntilReady(redis, 2000);
  const modes: boolean[] = [];
  const store = new ResilientLimitStore(new RedisLimitStore(redis), {
    onMode: (isDegraded) => modes.push(isDegraded),
  });
  stores.push(store);
  await store.start();
  return { store, redis, modes };
}

const charge = (key = 'u', cost = 1): Charge => ({ rule: MINUTE, key, cost });

async function take({ store }: Instance, times: number, key?: string): Promise<Decision[]> {
  const decisions: Decision[] = [];
  for (let index = 0; index < times; index++) decisions.push(await store.take([charge(key)]));
  return decisions;
}

/** By a heartbeat now instead of within 5 s. */
async function knowEachOther(instances: readonly Instance[]): Promise<void> {
  await eventually('every instance knows of the others', () => {
    for (const { redis } of instances) redis.emit('ready');
    return instances.every(({ store }) => store.status.instances === instances.length);
  });
}

const granted = (decisions: readonly Decision[]): number => decisions.filter(({ allowed }) => allowed).length;

beforeEach(async () => {
  server = await startRedis();
});

afterEach(async () => {
  for (const store of stores.splice(0)) store.stop();
  for (const client of clients.splice(0)) client.disconnect();
  await server.kill();
});

describe('Redis frozen', () => {
  it('holds a request up for one command timeout, then nobody, and grants no more than the limit', async () => {
    const instance = await startInstance();
    await take(instance, 4);
    server.pause();
    const waitsMs: number[] = [];
    const decisions: Decision[] = [];
    for (let index = 0; index < 10; index++) {
      const startedMs = performance.now();
      decisions.push(await instance.store.take([charge()]));
      waitsMs.push(performance.now() - startedMs);
    }
    expect(Math.max(...waitsMs.slice(0, 3))).toBeLessThan(SOON_MS);
    // One of them may be held up by the machine.
    expect(waitsMs.slice(3).filter((ms) => ms > 10).length).toBeLessThanOrEqual(1);
    expect(granted(decisions)).toBe(6);
    expect(decisions.every(({ degraded }) => degraded)).toBe(true);
    expect(decisions.at(-1)!.retryAfterMs).toBeGreaterThan(50_000);
    expect(instance.modes).toEqual([false, true]);
  });

  it('goes back by itself and tells Redis what was granted meanwhile', async () => {
    const [instance, other] = [await startInstance(), await startInstance()];
    await knowEachOther([instance, other]);
    await take(instance, 2);
    server.pause();
    // Two instances: each grant counts 2 / 1.2, so that both together stay within 1.2 limits.
    const alone = granted(await take(instance, 10));
    expect(alone).toBe(4);
    server.resume();
    await eventually(
      'the mode is back',
      () => instance.modes.length === 3 && !instance.store.isDegraded,
      2500,
    );
    await eventually('the other instance sees the grants', async () => {
      const { windows, degraded } = await other.store.take([charge('u', 0)]);
      // The first three were also sent to Redis, which worked them off when it woke: counted twice, never too little.
      return !degraded && windows[0]!.used >= 2 + alone;
    });
  });
});

describe('Redis frozen, seen afterwards', () => {
  it('has counted twice only what it was asked itself, not what it was told of', async () => {
    const instance = await startInstance();
    await take(instance, 2);
    server.pause();
    const alone = granted(await take(instance, 5));
    server.resume();
    await eventually('back', () => !instance.store.isDegraded);
    const used = await eventually('told', async () => {
      const { windows, degraded } = await instance.store.take([charge('u', 0)]);
      return !degraded && windows[0]!.used >= 2 + alone && windows[0]!.used;
    });
    expect(alone).toBe(5);
    // Three commands timed out before nobody asked any more; Redis carried them out when it woke.
    expect(used).toBeLessThanOrEqual(2 + alone + 3);
  });
});

describe('Redis killed', () => {
  it('is noticed at once, and the last known counts stay in force', async () => {
    const instance = await startInstance();
    await take(instance, 7);
    await server.kill();
    await eventually('degraded', () => instance.store.isDegraded, 1000);
    expect(granted(await take(instance, 10))).toBe(3);
  });

  it('restarted empty: nobody gets a fresh limit, neither by this instance nor by another', async () => {
    const [instance, other] = [await startInstance(), await startInstance()];
    await take(instance, 7);
    await server.kill();
    await eventually('degraded', () => instance.store.isDegraded && other.store.isDegraded);
    await take(instance, 1);
    await server.restart();
    await eventually('both are back', () => !instance.store.isDegraded && !other.store.isDegraded);
    const used = await eventually('the counts are in Redis again', async () => {
      const { windows } = await other.store.take([charge('u', 0)]);
      return windows[0]!.used >= 8 && windows[0]!.used;
    });
    expect(used).toBe(8);
    expect(granted([...(await take(other, 5)), ...(await take(instance, 5))])).toBe(2);
  });

  it('lets every instance grant its share: together at most 1.2 limits', async () => {
    const instances = [
      await startInstance(),
      await startInstance(),
      await startInstance(),
      await startInstance(),
    ];
    await knowEachOther(instances);
    await server.kill();
    await eventually('all degraded', () => instances.every(({ store }) => store.isDegraded));
    let total = 0;
    for (const instance of instances) total += granted(await take(instance, 20));
    expect(total).toBeLessThanOrEqual(12);
    expect(total).toBeGreaterThanOrEqual(10);
  });

  it('at the start: the instance starts degraded and joins when Redis appears', async () => {
    await server.kill();
    const instance = await startInstance();
    expect(instance.modes).toEqual([true]);
    expect(granted(await take(instance, 20))).toBe(10);
    await server.restart();
    await eventually('joined', () => !instance.store.isDegraded);
    await eventually(
      'told',
      async () => !(await instance.store.take([charge()])).allowed && instance.modes.length === 2,
    );
  });
});

describe('Redis flushed while connected', () => {
  it('is found out by the next heartbeat', async () => {
    const instance = await startInstance();
    await take(instance, 9);
    await instance.redis.flushall();
    instance.redis.emit('ready'); // look now instead of in 5 s
    await eventually(
      'counts are back',
      async () => (await instance.store.take([charge('u', 0)])).windows[0]!.used === 9,
    );
  });
});

describe('Redis restarted from an older snapshot', () => {
  it.each([
    ['of an instance that it knows', false],
    ['of an instance that began after it', true],
  ])('gives nobody back what it has forgotten, though it knows its marker: %s', async (_whose, isYounger) => {
    const [older, other] = [await startInstance(), await startInstance()];
    await take(older, 3);
    const snapshot = await everything(older.redis);
    const instance = isYounger ? await startInstance() : older;
    await take(instance, 5);
    await eventually('a heartbeat that the snapshot does not have', async () => {
      instance.redis.emit('ready');
      return (await everything(instance.redis)).some(([key, , dump]) =>
        snapshot.some((old) => old[0] === key && key.endsWith('instances') && !old[2].equals(dump)),
      );
    });
    await instance.redis.flushall();
    for (const [key, ttlMs, dump] of snapshot)
      await instance.redis.restore(key, Math.max(0, ttlMs), dump, 'REPLACE');
    for (const { redis } of [other, instance]) redis.emit('ready'); // look now instead of in 5 s
    await eventually(
      'counts are back',
      async () => (await other.store.take([charge('u', 0)])).windows[0]!.used === 8,
    );
    expect(granted([...(await take(other, 5)), ...(await take(instance, 5))])).toBe(2);
  });

  async function everything(redis: Redis): Promise<[key: string, ttlMs: number, dump: Buffer][]> {
    const keys = await redis.keys('*');
    return Promise.all(
      keys.map(async (key): Promise<[string, number, Buffer]> => [
        key,
        await redis.pttl(key),
        await redis.dumpBuffer(key),
      ]),
    );
  }
});

describe('slots in flight', () => {
  it('come back after Redis lost them, and the limit holds meanwhile', async () => {
    const instance = await startInstance();
    const slot = (holder: string) => ({ key: 'u', holder });
    expect(await instance.store.acquireSlot(slot('a'), 2)).toBe(true);
    await server.kill();
    await eventually('degraded', () => instance.store.isDegraded);
    expect(await instance.store.acquireSlot(slot('b'), 2)).toBe(true);
    expect(await instance.store.acquireSlot(slot('c'), 2)).toBe(false);
    await server.restart();
    await eventually('back', () => !instance.store.isDegraded);
    expect(await instance.store.acquireSlot(slot('c'), 2)).toBe(false);
    await instance.store.releaseSlot(slot('a'));
    expect(await instance.store.acquireSlot(slot('c'), 2)).toBe(true);
  });
});
