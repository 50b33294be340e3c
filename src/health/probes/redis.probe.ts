import type { RateLimitStatus } from '../../limits/rate-limit-status.service.js';
import { redisReason } from '../../redis/redis-reason.js';
import type { RedisStatus } from '../../redis/redis-status.service.js';
import type { ComponentHealth, HealthProbe } from '../health-probe.js';

/** Redis, for cache and shared limits. Its loss costs accuracy, never an answer. */
export class CacheProbe implements HealthProbe {
  readonly name = 'cache';
  readonly critical = false;

  constructor(private readonly redis: Pick<RedisStatus, 'check'>) {}

  async check(): Promise<ComponentHealth> {
    const { state, latencyMs, since, lastError } = await this.redis.check();
    const reason = redisReason(lastError);
    return {
      status: state === 'down' ? 'degraded' : 'up',
      latencyMs: latencyMs ?? 0,
      details: {
        store: state === 'off' ? 'memory' : 'redis',
        redis: state,
        since: since.toISOString(),
        ...(reason !== undefined && { reason }),
      },
    };
  }
}

/** Where the rate limits are counted. */
export class RateLimitsProbe implements HealthProbe {
  readonly name = 'rate_limits';
  readonly critical = false;

  constructor(private readonly limits: Pick<RateLimitStatus, 'current'>) {}

  check(): Promise<ComponentHealth> {
    const { mode, since, instances, lastError } = this.limits.current();
    const reason = redisReason(lastError);
    return Promise.resolve({
      status: mode === 'degraded' ? 'degraded' : 'up',
      latencyMs: 0,
      details: { mode, since: since.toISOString(), instances, ...(reason !== undefined && { reason }) },
    });
  }
}
