import { Injectable, type OnModuleInit } from '@nestjs/common';
import { GatewayConfigStore } from '../config/gateway-config.store.js';
import { ModelCatalog } from '../models/model-catalog.service.js';
import { BreakerRegistry } from '../providers/resilience/breaker-registry.service.js';

/** Lets the breakers of targets go that a reload took away: nobody would ever call them again, and so close them. */
@Injectable()
export class RemovedTargets implements OnModuleInit {
  constructor(
    private readonly file: GatewayConfigStore,
    private readonly catalog: ModelCatalog,
    private readonly breakers: BreakerRegistry,
  ) {}

  /** After the catalogue, which this module imports, and so with what is in force then. */
  onModuleInit(): void {
    this.file.onReload(() => () => {
      const snapshot = this.catalog.snapshot();
      this.breakers.retain((provider, model) => snapshot.leadsTo(provider, model));
    });
  }
}
