import { isDeepStrictEqual } from 'node:util';
import { Injectable, type OnModuleInit } from '@nestjs/common';
import type { GatewayConfig, GatewayProvider } from '../config/gateway-config.js';
import { GatewayConfigStore } from '../config/gateway-config.store.js';
import { ModelCatalog } from '../models/model-catalog.service.js';
import { BreakerRegistry } from '../providers/resilience/breaker-registry.service.js';
import { Cooldowns } from '../providers/resilience/cooldowns.service.js';
import { LatencyBook } from './latency-book.service.js';

/**
 * Forgets what was learned about targets that a reload removed (they are never called again, so nothing would close their
 * breakers) and about providers that it changed: a new key or address starts afresh.
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

  /** Runs after the catalogue's, as this module imports that, so `#forget` sees the new catalogue. */
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

/** Names of providers of `current` that are gone or changed in `next`. */
function providersNotIn(next: GatewayConfig, current: GatewayConfig): Set<string> {
  const names = new Set<string>();
  for (const [name, provider] of current.providers) {
    const renewed = next.providers.get(name);
    if (!renewed || !isDeepStrictEqual(addressee(provider), addressee(renewed))) names.add(name);
  }
  return names;
}

/** Whom the gateway calls, and as whom; not how, or for how long. */
function addressee({ settings: { baseUrl, apiKey, headers, options } }: GatewayProvider): unknown {
  return { baseUrl, apiKey, headers, query: options?.query };
}
