import type { ProviderStrategy } from '@app/contracts';
import { Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { BillingJournal } from '../billing/journal/billing-journal.service.js';
import { OutageCredit } from '../billing/outage/outage-credit.service.js';
import { Settler } from '../billing/settle/settler.service.js';
import { GatewayInstance } from '../billing/upkeep/gateway-instance.service.js';
import { APP_CONFIG, type AppConfig } from '../config/app-config.js';
import { DatabaseService } from '../database/database.service.js';
import { RateLimitStatus } from '../limits/rate-limit-status.service.js';
import { ProviderRegistry } from '../providers/provider-registry.service.js';
import { BreakerRegistry } from '../providers/resilience/breaker-registry.service.js';
import { RedisStatus } from '../redis/redis-status.service.js';
import { CircuitBreakerReport } from './circuit-breaker-report.js';
import { EventLoopLag } from './event-loop-lag.js';
import type { HealthProbe } from './health-probe.js';
import { HealthProbes } from './health-probes.js';
import { BillingJournalProbe } from './probes/billing-journal.probe.js';
import { DatabaseProbe } from './probes/database.probe.js';
import { EventLoopProbe } from './probes/event-loop.probe.js';
import { ProviderProbe } from './probes/provider.probe.js';
import { CacheProbe, RateLimitsProbe } from './probes/redis.probe.js';

/**
 * Finds the other modules' services and puts a probe in front of each. Looked up rather than injected: what is good for
 * a health page need not be exported to everybody.
 */
@Injectable()
export class ProbeRegistration implements OnApplicationBootstrap {
  readonly #providerProbes = new Map<string, ProviderProbe>();

  constructor(
    private readonly modules: ModuleRef,
    private readonly probes: HealthProbes,
    private readonly providers: ProviderRegistry,
    private readonly breakers: CircuitBreakerReport,
    private readonly lag: EventLoopLag,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {}

  onApplicationBootstrap(): void {
    this.breakers.readFrom(this.#find(BreakerRegistry), () => this.providers.names());
    for (const probe of [...this.#stores(), new EventLoopProbe(this.lag), ...this.#billing()])
      this.probes.add(probe);
    this.probes.addSource(() => this.providers.names().map((name) => this.#provider(name)));
  }

  #stores(): HealthProbe[] {
    return [
      new DatabaseProbe(
        this.#find(DatabaseService),
        () => this.#servesWithoutDatabase(),
        this.config.billing.enabled,
      ),
      new CacheProbe(this.#find(RedisStatus)),
      new RateLimitsProbe(this.#find(RateLimitStatus)),
    ];
  }

  #billing(): HealthProbe[] {
    if (!this.config.billing.enabled) return [];
    return [
      new BillingJournalProbe(this.#find(BillingJournal), this.#find(GatewayInstance), this.#find(Settler)),
    ];
  }

  /** One for each name, so that its answer is remembered. */
  #provider(name: string): ProviderProbe {
    let probe = this.#providerProbes.get(name);
    if (!probe) {
      probe = new ProviderProbe(
        name,
        () => this.#ask(name),
        () => this.breakers.of(name),
      );
      this.#providerProbes.set(name, probe);
    }
    return probe;
  }

  #ask(name: string): ProviderStrategy['probe'] {
    const strategy = this.providers.raw(name);
    return strategy.probe?.bind(strategy);
  }

  /** Nothing has to be booked, or a user nobody knows would still be given credit. */
  #servesWithoutDatabase(): boolean {
    return !this.config.billing.enabled || this.#find(OutageCredit).shareOf('') > 0n;
  }

  #find<Service>(type: abstract new (...arguments_: never[]) => Service): Service {
    return this.modules.get(type, { strict: false });
  }
}
