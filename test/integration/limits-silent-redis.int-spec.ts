import { eventually, startRedis } from '@app/testing';
import { expect, it } from 'vitest';
import { RedisLimitStore } from '../../src/limits/redis-limit-store.js';
import { ResilientLimitStore } from '../../src/limits/resilient-limit-store.js';
import { createRedis, waitUntilReady } from '../../src/redis/redis-client.js';

it('a connection that takes commands and answers nothing is dropped after some seconds, so that another one can be made', async () => {
  await using server = await startRedis();
  const redis = createRedis(server.url);
  const store = new ResilientLimitStore(new RedisLimitStore(redis), { onMode: () => undefined });
  try {
    expect(await waitUntilReady(redis, 10_000)).toBe(true);
    await store.start();
    let closed = false;
    redis.on('close', () => (closed = true));
    server.pause();
    await eventually('dropped', () => closed, 20_000);
    server.resume();
    await eventually('back', () => !store.isDegraded, 30_000);
  } finally {
    store.stop();
    redis.disconnect();
  }
});
