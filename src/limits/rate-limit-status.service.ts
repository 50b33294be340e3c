import { Inject, Injectable } from '@nestjs/common';
import { LIMIT_STORE, type LimitStore } from './limit-store.js';
import { HEALTHY_MODE, type HealthyRateLimitMode, type RateLimitMode } from './rate-limit-mode.js';
import { ResilientLimitStore } from './resilient-limit-store.js';

export interface RateLimitState {
  readonly mode: RateLimitMode;
  readonly since: Date;
  /** Instances that share the counts, as far as this one knows. */
  readonly instances: number;
  readonly lastError: string | undefined;
}

/** What health pages ask about the rate limits. */
@Injectable()
export class RateLimitStatus {
  readonly #startedAt = new Date();

  constructor(
    @Inject(LIMIT_STORE) private readonly store: LimitStore,
    @Inject(HEALTHY_MODE) private readonly healthyMode: HealthyRateLimitMode,
  ) {}

  current(): RateLimitState {
    if (!(this.store instanceof ResilientLimitStore)) {
      return { mode: this.healthyMode, since: this.#startedAt, instances: 1, lastError: undefined };
    }
    const { since, instances, lastError } = this.store.status;
    const isDegraded = this.store.isDegraded;
    return {
      mode: isDegraded ? 'degraded' : this.healthyMode,
      since,
      instances,
      lastError: isDegraded ? lastError : undefined,
    };
  }
}
