import { Global, Module } from '@nestjs/common';
import { BreakerRegistry } from './breaker-registry.service.js';
import { Cooldowns } from './cooldowns.service.js';
import { ResilienceDecorator } from './resilience-decorator.service.js';
import { STRATEGY_DECORATOR } from './resilience.js';

/** The policies around every provider, and what they know of them. */
@Global()
@Module({
  providers: [
    BreakerRegistry,
    Cooldowns,
    ResilienceDecorator,
    { provide: STRATEGY_DECORATOR, useExisting: ResilienceDecorator },
  ],
  exports: [BreakerRegistry, Cooldowns, STRATEGY_DECORATOR],
})
export class ResilienceModule {}
