import { isDeepStrictEqual } from 'node:util';
import { Injectable, type OnModuleInit } from '@nestjs/common';
import type { GatewayConfig, GatewayProvider } from '../config/gateway-config.js';
import { GatewayConfigStore } from '../config/gateway-config.store.js';
import { ModelCatalog } from '../models/model-catalog.service.js';
import { BreakerRegistry } from '../providers/resilience/breaker-registry.service.js';
import { Cooldowns } from '../providers/resilience/cooldowns.service.js';
import { LatencyBook } from './latency-book.service.js';

/**
 * Forgets what was learned of targets that a reload took away (nobody would ever call them again, and so close their
 * breakers) and of providers that it changed: another key or address begins anew.
 */
@Injectable()
export class RemovedTargets implements OnModuleInit {
  constructor(
    private readonly file: GatewayConfigStore,
    private readonly catalog: ModelCatalog,
    private readonly breakers: BreakerRegistry,
    private readonly cooldowns: Cooldowns,
    private readonly latencies: LatencyBook,
  ) {}

  /** After the catalogue, which this module imports, and so with what is in force then. */
  onModuleInit(): void {
    this.file.onReload((next) => {
      const others = providersNotIn(next, this.file.current);
      return () => this.#forget(others);
    });
  }

  #forget(others: ReadonlySet<string>): void {
    const snapshot = this.catalog.snapshot();
    this.breakers.retain((provider, model) => !others.has(provider) && snapshot.leadsTo(provider, model));
    for (const provider of others) {
      this.cooldowns.renew(provider);
      this.latencies.renew(provider);
    }
  }
}

/** Names of those of `current` that are gone or others in `next`. */
function providersNotIn(next: GatewayConfig, current: GatewayConfig): Set<string> {
  const names = new Set<string>();
  for (const [name, provider] of current.providers) {
    const renewed = next.providers.get(name);
    if (!renewed || !isDeepStrictEqual(addressee(provider), addressee(renewed))) names.add(name);
  }
  return names;
}

/** Who is spoken to, and as whom: not how, or how long. */
function addressee({ settings: { baseUrl, apiKey, headers, options } }: GatewayProvider): unknown {
  return { baseUrl, apiKey, headers, query: options?.query };
}
