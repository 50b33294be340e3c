import { GatewayError, shortened } from '@app/contracts';
import { Inject, Injectable, Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import type { Principal } from '../auth/principal.js';
import { APP_CONFIG, type AppConfig } from '../config/app-config.js';
import { ConfigurationError } from '../config/configuration-error.js';
import type { GatewayConfig } from '../config/gateway-config.js';
import { GatewayConfigStore } from '../config/gateway-config.store.js';
import { PROVIDER_SETTINGS, type ProviderSettingsByName } from '../config/provider-settings.js';
import type { ProviderDefinition } from '../providers/provider-definition.js';
import { allowedModels, isAllowed } from './allowed-models.js';
import type { BuiltCatalog, PriceVersion } from './build-catalog.js';
import type { CatalogModel, CatalogSnapshot } from './catalog.js';
import { configuredCatalog } from './configured-catalog.js';
import { nearestName } from './nearest-name.js';
import { PROVIDER_DEFINITIONS } from './provider-definitions.js';

/** Prices with a start date come into force at most this much late. */
const REFRESH_MS = 3_600_000;

/** What is served now: the current snapshot, replaced as a whole by a reload. */
@Injectable()
export class ModelCatalog implements OnModuleInit, OnApplicationShutdown {
  readonly #logger = new Logger(ModelCatalog.name);
  #built: BuiltCatalog;
  #refresh: NodeJS.Timeout | undefined;

  /** @throws ConfigurationError  when the file leaves a target without a price */
  constructor(
    @Inject(APP_CONFIG) private readonly config: AppConfig,
    @Inject(PROVIDER_SETTINGS) private readonly settings: ProviderSettingsByName,
    @Inject(PROVIDER_DEFINITIONS) private readonly providers: readonly ProviderDefinition[],
    @Inject(GatewayConfigStore) private readonly file: GatewayConfigStore,
  ) {
    this.#built = this.#build(file.current);
  }

  onModuleInit(): void {
    this.#tellLeftOut();
    this.#logger.log(`${this.#built.snapshot.list().length} models are served`);
    this.file.onReload((next) => this.#prepare(next));
    this.#refresh = setInterval(() => this.reload(), REFRESH_MS);
    this.#refresh.unref();
  }

  onApplicationShutdown(): void {
    clearInterval(this.#refresh);
  }

  snapshot(): CatalogSnapshot {
    return this.#built.snapshot;
  }

  /**
   * The model that a name means, for somebody who may use it.
   *
   * @throws GatewayError  `model_not_found`, `model_not_allowed`
   */
  require(name: string, principal: Principal): CatalogModel {
    const { snapshot } = this.#built;
    const model = snapshot.find(name);
    if (!model) throw modelNotFound(name, principal, snapshot);
    if (!isAllowed(model, name, principal, snapshot)) {
      throw new GatewayError('model_not_allowed', 'This token is not allowed to use this model.', {
        param: 'model',
      });
    }
    return model;
  }

  /** The prices in force, each under its content address. */
  priceVersions(): readonly PriceVersion[] {
    return this.#built.priceVersions;
  }

  /** Builds the catalogue anew from the current file and today's prices. A failure keeps the old one. */
  reload(): void {
    try {
      this.#prepare(this.file.current)();
    } catch (error) {
      this.#logger.error('the catalogue was not renewed; the old one stays in force', error);
    }
  }

  #prepare(next: GatewayConfig): () => void {
    const built = this.#build(next);
    return () => {
      const told = new Set(this.#built.leftOut);
      this.#built = built;
      this.#tellLeftOut(told);
    };
  }

  #tellLeftOut(told: ReadonlySet<string> = new Set()): void {
    for (const line of this.#built.leftOut) {
      if (!told.has(line)) this.#logger.warn(`not served: ${line}`);
    }
  }

  #build(gatewayConfig: GatewayConfig): BuiltCatalog {
    const { config, settings: providerSettings, providers } = this;
    const built = configuredCatalog({ config, providerSettings, gatewayConfig }, providers);
    if (built.faults.length > 0) throw new ConfigurationError(built.faults);
    return built;
  }
}

/** "Not served" and not "unknown": a built-in model whose provider has no key is not found either. */
export function modelNotFound(name: string, principal: Principal, snapshot: CatalogSnapshot): GatewayError {
  // Nobody learns here of a model that the list does not show.
  const names = allowedModels(principal, snapshot).map(({ id }) => id);
  const meant = nearestName(name, names);
  const shown = JSON.stringify(shortened(name, 100));
  const question = meant === undefined ? '' : ` Did you mean ${JSON.stringify(meant)}?`;
  return new GatewayError(
    'model_not_found',
    `The model ${shown} is not available here.${question} GET /v1/models lists the available models.`,
    { param: 'model' },
  );
}
