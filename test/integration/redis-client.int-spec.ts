import { startRedis, type TestRedis } from '@app/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { closeRedis, createRedis, waitUntilReady } from '../../src/redis/redis-client.js';

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
