import { Inject, Injectable } from '@nestjs/common';
import type { ThrottlerStorage } from '@nestjs/throttler';
import { LIMIT_STORE, type LimitStore } from './limit-store.js';

type ThrottlerStorageRecord = Awaited<ReturnType<ThrottlerStorage['increment']>>;

/**
 * Throttler's storage interface over our store, for what its decorators count: strict sliding windows, shared between
 * instances, and a refused request counts nothing (so `blockDuration` has no meaning here and is not looked at).
 */
@Injectable()
export class SlidingWindowThrottlerStorage implements ThrottlerStorage {
  constructor(@Inject(LIMIT_STORE) private readonly store: LimitStore) {}

  /** @param ttl  ms; the record's times are seconds, as throttler has it */
  async increment(key: string, ttl: number, limit: number): Promise<ThrottlerStorageRecord> {
    const rule = { name: `throttle-${ttl}`, limit, windowMs: ttl };
    const { allowed, windows, retryAfterMs } = await this.store.take([{ rule, key, cost: 1 }]);
    const { used, growsInMs } = windows[0]!;
    return {
      totalHits: allowed ? used : used + 1,
      timeToExpire: Math.ceil(growsInMs / 1000),
      isBlocked: !allowed,
      timeToBlockExpire: Math.max(1, Math.ceil(retryAfterMs / 1000)),
    };
  }
}
