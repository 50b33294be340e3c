import type { ProviderStrategy } from '@app/contracts';
import { Inject, Injectable } from '@nestjs/common';
import { APP_CONFIG, type AppConfig } from '../../config/app-config.js';
import { BreakerRegistry } from './breaker-registry.service.js';
import { Cooldowns } from './cooldowns.service.js';
import { type DecoratorOptions, monotonicClock, type StrategyDecorator } from './resilience.js';
import { type ResilienceSettings, ResilientStrategy } from './resilient-strategy.js';

/** Builds the policies of each provider, once, at boot. */
@Injectable()
export class ResilienceDecorator implements StrategyDecorator {
  readonly #settings: ResilienceSettings;

  constructor(
    @Inject(APP_CONFIG) config: AppConfig,
    private readonly breakers: BreakerRegistry,
    private readonly cooldowns: Cooldowns,
  ) {
    const { retry, timeouts, concurrency } = config;
    this.#settings = {
      maxConcurrentCalls: concurrency.perProvider,
      repeat: {
        maxAttempts: retry.enabled ? retry.maxAttempts : 1,
        baseDelayMs: retry.baseDelayMs,
        maxDelayMs: retry.maxDelayMs,
      },
      firstChunkMs: timeouts.firstChunkMs,
      streamIdleMs: timeouts.streamIdleMs,
      requestMs: timeouts.requestMs,
      secrets: [],
    };
  }

  decorate(
    strategy: ProviderStrategy,
    { requestMs = this.#settings.requestMs, secrets = [] }: DecoratorOptions = {},
  ): ProviderStrategy {
    const { breakers, cooldowns } = this;
    const shared = { breakers, cooldowns, now: monotonicClock, random: Math.random };
    return new ResilientStrategy(strategy, { ...this.#settings, requestMs, secrets }, shared);
  }
}
