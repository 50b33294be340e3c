import { Inject, Injectable } from '@nestjs/common';
import { APP_CONFIG, type AppConfig } from '../config/app-config.js';
import { LIMIT_STORE, type LimitStore } from './limit-store.js';
import type { RateLimitMode } from './rate-limit-mode.js';
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
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {}

  current(): RateLimitState {
    const { storage } = this.config.rateLimit;
    if (!(this.store instanceof ResilientLimitStore)) {
      return { mode: storage, since: this.#startedAt, instances: 1, lastError: undefined };
    }
    const { since, instances, lastError } = this.store.status;
    const isDegraded = this.store.isDegraded;
    return {
      mode: isDegraded ? 'degraded' : storage,
      since,
      instances,
      lastError: isDegraded ? lastError : undefined,
    };
  }
}
