import cluster from 'node:cluster';
import {
  Global,
  Inject,
  Module,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
} from '@nestjs/common';
import { ThrottlerModule } from '@nestjs/throttler';
import type { Redis } from 'ioredis';
import { APP_CONFIG, type AppConfig } from '../config/app-config.js';
import { REDIS } from '../redis/redis-client.js';
import { ClusterLimitStore } from './cluster-limit-store.js';
import { ConcurrencyLimiter } from './concurrency-limiter.service.js';
import { LIMIT_STORE, type LimitStore } from './limit-store.js';
import { MemoryLimitStore } from './memory-limit-store.js';
import { RateLimitModeReporter } from './rate-limit-mode.js';
import { RateLimitStatus } from './rate-limit-status.service.js';
import { RateLimitGuard } from './rate-limit.guard.js';
import { RouteThrottler } from './route-throttler.js';
import { RedisLimitStore } from './redis-limit-store.js';
import type { RemoteLimitStore } from './remote-limit-store.js';
import { HOUR_MS, MINUTE_MS, RequestLimiter } from './request-limiter.service.js';
import { ResilientLimitStore } from './resilient-limit-store.js';
import { SlidingWindowThrottlerStorage } from './sliding-window-throttler.storage.js';
import { TokenLimiter } from './token-limiter.service.js';

/** Where the counts live: Redis, the primary process of a cluster, or this process. */
@Global()
@Module({
  providers: [
    RateLimitModeReporter,
    {
      provide: LIMIT_STORE,
      inject: [APP_CONFIG, RateLimitModeReporter, { token: REDIS, optional: true }],
      useFactory: createLimitStore,
    },
    SlidingWindowThrottlerStorage,
  ],
  exports: [LIMIT_STORE, RateLimitModeReporter, SlidingWindowThrottlerStorage],
})
class LimitStoreModule {}

function createLimitStore(
  config: AppConfig,
  reporter: RateLimitModeReporter,
  redis: Redis | undefined,
): LimitStore {
  const remote = remoteStore(config, redis);
  if (!remote) return new MemoryLimitStore();
  const { storage } = config.rateLimit;
  return new ResilientLimitStore(remote, {
    onMode: (isDegraded, reason) => reporter.report(isDegraded ? 'degraded' : storage, reason),
    instances: config.http.workers,
  });
}

/** @throws Error  when the environment asks for Redis and names none: counting alone unasked would multiply the limits */
function remoteStore(config: AppConfig, redis: Redis | undefined): RemoteLimitStore | undefined {
  if (config.rateLimit.storage === 'redis') {
    if (!redis) throw new Error('RATE_LIMIT_STORAGE is redis, but no REDIS_URL or REDIS_HOST is set');
    return new RedisLimitStore(redis);
  }
  return cluster.isWorker && config.http.workers > 1 ? new ClusterLimitStore() : undefined;
}

/** For throttler's own counting, where 0 would mean nothing at all. */
const NO_LIMIT = Number.MAX_SAFE_INTEGER;

/** Rate limits. `RateLimitGuard` is put up by `app.module.ts`, where the order of the guards is decided. */
@Global()
@Module({
  imports: [
    LimitStoreModule,
    ThrottlerModule.forRootAsync({
      imports: [LimitStoreModule],
      inject: [APP_CONFIG, SlidingWindowThrottlerStorage],
      useFactory: ({ rateLimit }: AppConfig, storage: SlidingWindowThrottlerStorage) => ({
        throttlers: [
          { name: 'minute', ttl: MINUTE_MS, limit: rateLimit.requestsPerMinute || NO_LIMIT },
          { name: 'hour', ttl: HOUR_MS, limit: rateLimit.requestsPerHour || NO_LIMIT },
        ],
        storage,
        setHeaders: false, // the guard writes them, of all windows in one form
      }),
    }),
  ],
  providers: [
    RequestLimiter,
    TokenLimiter,
    ConcurrencyLimiter,
    RateLimitStatus,
    RouteThrottler,
    RateLimitGuard,
  ],
  exports: [
    RequestLimiter,
    TokenLimiter,
    ConcurrencyLimiter,
    RateLimitStatus,
    RateLimitGuard,
    ThrottlerModule,
  ],
})
export class LimitsModule implements OnApplicationBootstrap, OnApplicationShutdown {
  constructor(
    @Inject(LIMIT_STORE) private readonly store: LimitStore,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
    private readonly reporter: RateLimitModeReporter,
  ) {}

  async onApplicationBootstrap(): Promise<void> {
    if (this.store instanceof ResilientLimitStore) await this.store.start();
    else this.reporter.report(this.config.rateLimit.storage);
  }

  onApplicationShutdown(): void {
    if (this.store instanceof ResilientLimitStore) this.store.stop();
  }
}
