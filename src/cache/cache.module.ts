import { CacheModule as NestCacheModule } from '@nestjs/cache-manager';
import { Global, Inject, Module, type OnApplicationShutdown, Optional } from '@nestjs/common';
import { KeyvAdapter } from 'cache-manager';
import { redisInsStore } from 'cache-manager-ioredis-yet';
import type { Redis } from 'ioredis';
import { Keyv } from 'keyv';
import { APP_CONFIG, type AppConfig } from '../config/app-config.js';
import { closeRedis, createRedis, REDIS, waitUntilReady } from '../redis/redis-client.js';
import { Telemetry } from '../telemetry/telemetry.js';
import { type AnswerStore, MemoryAnswerStore, RedisAnswerStore } from './answer-store.js';
import { BoundedMemoryStore } from './bounded-memory-store.js';
import { PauseAfterFailure } from './pause-after-failure.js';
import { ANSWER_STORE, ResponseCache } from './response-cache.service.js';

/** Large values have a connection and a deadline of their own, so that they hold up no rate limit check. */
const CACHE_REDIS = Symbol('CACHE_REDIS');
const COMMAND_TIMEOUT_MS = 150;
const BOOT_WAIT_MS = 1000;
const MEMORY_BYTES = 64 * 2 ** 20;
const ANSWER_MEMORY_BYTES = 128 * 2 ** 20;

/** Waits for the connection only when Redis is known to be there. */
async function connect({ redis: { url } }: AppConfig, shared: Redis | undefined): Promise<Redis | undefined> {
  if (!url || !shared) return undefined;
  const redis = createRedis(url.reveal(), { commandTimeout: COMMAND_TIMEOUT_MS });
  if (shared.status === 'ready') await waitUntilReady(redis, BOOT_WAIT_MS);
  return redis;
}

@Global()
@Module({
  providers: [
    {
      provide: CACHE_REDIS,
      inject: [APP_CONFIG, { token: REDIS, optional: true }],
      useFactory: connect,
    },
  ],
  exports: [CACHE_REDIS],
})
class CacheRedisModule implements OnApplicationShutdown {
  constructor(@Optional() @Inject(CACHE_REDIS) private readonly redis: Redis | undefined) {}

  async onApplicationShutdown(): Promise<void> {
    if (this.redis) await closeRedis(this.redis);
  }
}

/**
 * `CACHE_MANAGER` for whoever caches a little (Nest's own way), and the response cache beside it. Both in Redis when
 * there is one, else in bounded memory.
 *
 * Never call `clear()` or `reset()` on the manager: with this store it is FLUSHDB, rate limits and all. The store here
 * refuses it.
 */
@Module({
  imports: [
    CacheRedisModule,
    NestCacheModule.registerAsync({
      isGlobal: true,
      imports: [CacheRedisModule],
      inject: [{ token: CACHE_REDIS, optional: true }],
      useFactory: (redis: Redis | undefined) => ({ stores: [keyv(redis)], ttl: 60_000 }),
    }),
  ],
  providers: [
    {
      provide: ANSWER_STORE,
      inject: [Telemetry, { token: CACHE_REDIS, optional: true }],
      useFactory: (telemetry: Telemetry, redis: Redis | undefined): AnswerStore => {
        if (!redis) return new MemoryAnswerStore(ANSWER_MEMORY_BYTES);
        return new RedisAnswerStore(redis, () =>
          telemetry.event({ kind: 'cache', cache: 'response', outcome: 'error' }),
        );
      },
    },
    ResponseCache,
  ],
  exports: [ResponseCache],
})
export class CacheModule {}

function keyv(redis: Redis | undefined): Keyv {
  const store = redis ? redisStore(redis) : new BoundedMemoryStore(MEMORY_BYTES);
  const made = new Keyv({ store, namespace: 'llm-gateway:cache' });
  // Keyv turns errors of its store into misses and tells of them here; unheard they would end the process.
  made.on('error', () => undefined);
  return made;
}

type ManagerStore = ConstructorParameters<typeof KeyvAdapter>[0];

/** The cast is between versions: the store's types are those of cache-manager 5, its methods those of 7. */
function redisStore(redis: Redis): KeyvAdapter {
  const store = redisInsStore(redis) as unknown as ManagerStore;
  const pause = new PauseAfterFailure();
  const guarded: ManagerStore = {
    ...store,
    get: (key) => pause.run(() => store.get(key)),
    set: (key, value, ttlMs) => pause.run(() => store.set(key, value, ttlMs)),
    del: async (key) => void (await pause.run(() => store.del(key))),
    mget: async (...keys) => (await pause.run(() => store.mget(...keys))) ?? keys.map(() => undefined),
    mdel: async (...keys) => void (await pause.run(() => store.mdel(...keys))),
    reset: () => Promise.reject(new Error('clear() would flush the whole Redis database')),
  };
  return new KeyvAdapter(guarded);
}
