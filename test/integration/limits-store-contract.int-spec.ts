import { startRedis, type TestRedis } from '@app/testing';
import type { Redis } from 'ioredis';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Charge,
  type LimitStore,
  SLOT_LIFETIME_MS,
  type WindowRule,
} from '../../src/limits/limit-store.js';
import { MemoryLimitStore } from '../../src/limits/memory-limit-store.js';
import { RedisLimitStore } from '../../src/limits/redis-limit-store.js';
import { NO_SEED } from '../../src/limits/remote-limit-store.js';
import { createRedis, waitUntilReady } from '../../src/redis/redis-client.js';

let server: TestRedis;
let redis: Redis;

beforeAll(async () => {
  server = await startRedis();
  redis = createRedis(server.url, { commandTimeout: 2000 });
  await waitUntilReady(redis, 5000);
});

afterAll(async () => {
  redis.disconnect();
  await server.kill();
});

let lastNamespace = 0;

function redisStore(): LimitStore {
  const remote = new RedisLimitStore(redis, `test${++lastNamespace}`);
  return {
    take: (charges) =>
      remote.take(
        charges,
        charges.map(() => NO_SEED),
      ),
    correct: (charge, delta) => remote.correct(charge, delta),
    acquireSlot: (slot, limit) => remote.acquireSlot(slot, limit),
    releaseSlot: (slot) => remote.releaseSlot(slot),
  };
}

const WINDOW_MS = 900;
const LONGEST_STAY_MS = WINDOW_MS + WINDOW_MS / 60;
const rule = (name: string, limit: number, windowMs = WINDOW_MS): WindowRule => ({ name, limit, windowMs });
const charge = (of: WindowRule, key = 'u', cost = 1): Charge => ({ rule: of, key, cost });

describe.each([
  ['memory', () => new MemoryLimitStore()],
  ['redis', redisStore],
] as const)('limit store in %s', (_name, make: () => LimitStore) => {
  it('grants up to the limit, refuses beyond, and grants again when the window has passed', async () => {
    const store = make();
    const minute = rule('minute', 3);
    for (let index = 0; index < 3; index++) {
      const decision = await store.take([charge(minute)]);
      expect(decision).toMatchObject({ allowed: true, refusedBy: -1, degraded: false });
      expect(decision.windows[0]).toMatchObject({ used: index + 1 });
    }
    const refused = await store.take([charge(minute)]);
    expect(refused).toMatchObject({ allowed: false, refusedBy: 0 });
    expect(refused.retryAfterMs).toBeGreaterThan(WINDOW_MS * 0.5);
    expect(refused.retryAfterMs).toBeLessThanOrEqual(LONGEST_STAY_MS);
    await sleep(refused.retryAfterMs + 2);
    expect((await store.take([charge(minute)])).allowed).toBe(true);
  });

  it('grants all windows or none: a refusal leaves every window as it was', async () => {
    const store = make();
    const [minute, hour] = [rule('minute', 10), rule('hour', 2, 10 * WINDOW_MS)];
    await store.take([charge(minute), charge(hour)]);
    await store.take([charge(minute), charge(hour)]);
    const refused = await store.take([charge(minute), charge(hour)]);
    expect(refused).toMatchObject({ allowed: false, refusedBy: 1 });
    expect(refused.windows.map(({ used }) => used)).toEqual([2, 2]);
    expect((await store.take([charge(minute)])).windows[0]!.used).toBe(3);
  });

  it('keeps users and rules apart', async () => {
    const store = make();
    const minute = rule('minute', 1);
    expect((await store.take([charge(minute, 'a')])).allowed).toBe(true);
    expect((await store.take([charge(minute, 'b')])).allowed).toBe(true);
    expect((await store.take([charge(rule('other', 1), 'a')])).allowed).toBe(true);
    expect((await store.take([charge(minute, 'a')])).allowed).toBe(false);
  });

  it('says when more becomes available and when all of it is free', async () => {
    const store = make();
    const minute = rule('minute', 10);
    await store.take([charge(minute)]);
    await sleep(300);
    const [window] = (await store.take([charge(minute)])).windows;
    expect(window!.emptyInMs - window!.growsInMs).toBeGreaterThan(250);
    expect(window!.emptyInMs).toBeLessThanOrEqual(LONGEST_STAY_MS);
    await sleep(window!.growsInMs + 2);
    expect((await store.take([charge(minute, 'u', 0)])).windows[0]!.used).toBe(1);
  });

  it('charges any cost, and says when a large one fits', async () => {
    const store = make();
    const tokens = rule('tokens', 1000);
    await store.take([charge(tokens, 'u', 300)]);
    await sleep(200);
    await store.take([charge(tokens, 'u', 600)]);
    const small = await store.take([charge(tokens, 'u', 200)]);
    const large = await store.take([charge(tokens, 'u', 800)]);
    expect([small.allowed, large.allowed]).toEqual([false, false]);
    expect(large.retryAfterMs - small.retryAfterMs).toBeGreaterThan(150);
    await sleep(small.retryAfterMs + 2);
    expect((await store.take([charge(tokens, 'u', 200)])).allowed).toBe(true);
  });

  it('corrects an estimate downwards and upwards, never below nothing', async () => {
    const store = make();
    const tokens = rule('tokens', 1000);
    await store.take([charge(tokens, 'u', 900)]);
    await store.correct(charge(tokens), -850);
    expect((await store.take([charge(tokens, 'u', 0)])).windows[0]!.used).toBe(50);
    await store.correct(charge(tokens), 100);
    expect((await store.take([charge(tokens, 'u', 0)])).windows[0]!.used).toBe(150);
    await store.correct(charge(tokens), -5000);
    expect((await store.take([charge(tokens, 'u', 1000)])).allowed).toBe(true);
  });

  it('corrects over several buckets and still forgets everything in time', async () => {
    const store = make();
    const tokens = rule('tokens', 1000);
    for (let index = 0; index < 5; index++) {
      await store.take([charge(tokens, 'u', 100)]);
      await sleep(30);
    }
    await store.correct(charge(tokens), -250);
    expect((await store.take([charge(tokens, 'u', 0)])).windows[0]!.used).toBe(250);
    await sleep(LONGEST_STAY_MS + 5);
    expect((await store.take([charge(tokens, 'u', 0)])).windows[0]).toEqual({
      used: 0,
      growsInMs: 0,
      emptyInMs: 0,
    });
  });

  it('stays right while windows slide for a while', async () => {
    const store = make();
    const minute = rule('minute', 6);
    const grantedAtMs: number[] = [];
    const endMs = performance.now() + 3.5 * WINDOW_MS;
    while (performance.now() < endMs) {
      const sentMs = performance.now();
      if ((await store.take([charge(minute)])).allowed) grantedAtMs.push(sentMs);
      await sleep(7);
    }
    for (let index = 6; index < grantedAtMs.length; index++) {
      // Sent later than the grant of six before was answered plus a window, but for the time of one exchange.
      expect(grantedAtMs[index]! - grantedAtMs[index - 6]!).toBeGreaterThan(WINDOW_MS - 15);
    }
    expect(grantedAtMs.length).toBeGreaterThanOrEqual(3 * 6);
  });

  it('gives a user so many slots at a time', async () => {
    const store = make();
    const slot = (holder: string) => ({ key: 'u', holder });
    expect(await store.acquireSlot(slot('a'), 2)).toBe(true);
    expect(await store.acquireSlot(slot('b'), 2)).toBe(true);
    expect(await store.acquireSlot(slot('c'), 2)).toBe(false);
    expect(await store.acquireSlot({ key: 'v', holder: 'c' }, 2)).toBe(true);
    await store.releaseSlot(slot('a'));
    await store.releaseSlot(slot('a'));
    expect(await store.acquireSlot(slot('c'), 2)).toBe(true);
    expect(await store.acquireSlot(slot('d'), 2)).toBe(false);
  });
});

describe('slots whose holder died', () => {
  it('lapse in memory that is another process’s, unless they are renewed', () => {
    let nowMs = 0;
    const store = new MemoryLimitStore(() => nowMs, undefined, SLOT_LIFETIME_MS);
    const [kept, lost] = [
      { key: 'u', holder: 'kept' },
      { key: 'u', holder: 'lost' },
    ];
    store.acquireSlot(kept, 2);
    store.acquireSlot(lost, 2);
    nowMs += SLOT_LIFETIME_MS - 1;
    store.renewSlots([kept]);
    expect(store.acquireSlot({ key: 'u', holder: 'next' }, 2)).toBe(false);
    nowMs += 1;
    expect(store.acquireSlot({ key: 'u', holder: 'next' }, 2)).toBe(true);
    expect(store.acquireSlot({ key: 'u', holder: 'more' }, 2)).toBe(false);
  });

  it('carry their expiry in Redis, and renewing moves it or brings the slot back', async () => {
    const remote = new RedisLimitStore(redis, 'slots');
    const slot = { key: 'u', holder: 'h' };
    await remote.acquireSlot(slot, 1);
    const key = '{llm-gateway:limits}:slots:slots:u';
    expect(await redis.pttl(key)).toBeGreaterThan(SLOT_LIFETIME_MS - 1000);
    await redis.zadd(key, 1, 'h'); // as if it had lapsed
    expect(await remote.acquireSlot({ key: 'u', holder: 'other' }, 1)).toBe(true);
    await redis.del(key); // as if Redis had lost it
    await remote.renewSlots([slot]);
    expect(await remote.acquireSlot({ key: 'u', holder: 'third' }, 1)).toBe(false);
  });
});

describe('keys in Redis', () => {
  it('expire when the window is over', async () => {
    const remote = new RedisLimitStore(redis, 'ttl');
    await remote.take([charge(rule('minute', 5))], [NO_SEED]);
    const ttlMs = await redis.pttl('{llm-gateway:limits}:ttl:minute:u');
    expect(ttlMs).toBeGreaterThan(WINDOW_MS);
    expect(ttlMs).toBeLessThan(WINDOW_MS * 1.1);
  });

  it('are raised to a floor and get seeds, once each', async () => {
    const remote = new RedisLimitStore(redis, 'seeds');
    const minute = rule('minute', 10);
    expect((await remote.take([charge(minute)], [{ floor: 4, granted: 2 }])).windows[0]!.used).toBe(7);
    expect((await remote.take([charge(minute)], [{ floor: 4, granted: 0 }])).windows[0]!.used).toBe(8);
    const refused = await remote.take([charge(minute)], [{ floor: 0, granted: 9 }]);
    expect(refused).toMatchObject({ allowed: false });
    expect(refused.windows[0]!.used).toBe(17);
    expect(refused.retryAfterMs).toBeGreaterThan(WINDOW_MS * 0.8);
  });
});
