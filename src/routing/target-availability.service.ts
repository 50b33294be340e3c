import { Injectable } from '@nestjs/common';
import type { CatalogTarget } from '../models/catalog.js';
import { BreakerRegistry } from '../providers/resilience/breaker-registry.service.js';
import { Cooldowns } from '../providers/resilience/cooldowns.service.js';

export type Availability = 'ok' | 'cooldown' | 'breaker-open';

/** Whether a target is worth asking now, as far as this process knows. */
@Injectable()
export class TargetAvailability {
  constructor(
    private readonly breakers: BreakerRegistry,
    private readonly cooldowns: Cooldowns,
  ) {}

  of({ provider, upstreamModel }: Pick<CatalogTarget, 'provider' | 'upstreamModel'>): Availability {
    if (this.breakers.refuses(provider, upstreamModel)) return 'breaker-open';
    return this.cooldowns.leftMs(provider, upstreamModel) > 0 ? 'cooldown' : 'ok';
  }
}
