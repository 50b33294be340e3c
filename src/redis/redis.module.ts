import { Global, Inject, Module, type OnApplicationShutdown, Optional } from '@nestjs/common';
import type { Redis } from 'ioredis';
import { APP_CONFIG, type AppConfig } from '../config/app-config.js';
import { closeRedis, createRedis, REDIS, waitUntilReady } from './redis-client.js';
import { RedisStatus } from './redis-status.service.js';

/** How long the boot waits for Redis before it goes on without. */
const BOOT_WAIT_MS = 1000;

/** One connection for the hot path (limits, response cache), shared by whoever injects `REDIS`. */
@Global()
@Module({
  providers: [
    {
      provide: REDIS,
      inject: [APP_CONFIG],
      useFactory: async (config: AppConfig): Promise<Redis | undefined> => {
        if (!config.redis.url) return undefined;
        const redis = createRedis(config.redis.url.reveal());
        await waitUntilReady(redis, BOOT_WAIT_MS);
        return redis;
      },
    },
    RedisStatus,
  ],
  exports: [REDIS, RedisStatus],
})
export class RedisModule implements OnApplicationShutdown {
  constructor(@Optional() @Inject(REDIS) private readonly redis: Redis | undefined) {}

  async onApplicationShutdown(): Promise<void> {
    if (this.redis) await closeRedis(this.redis);
  }
}
