import type { LoadedConfiguration } from '../config/load-configuration.js';
import type { ProviderDefinition } from '../providers/provider-definition.js';
import { type BuiltCatalog, buildCatalog } from './build-catalog.js';
import { PriceBook } from './price-book.js';

/** What a configuration serves, at the prices of this moment. */
export function configuredCatalog(
  loaded: Pick<LoadedConfiguration, 'config' | 'providerSettings' | 'gatewayConfig'>,
  providers: readonly ProviderDefinition[],
): BuiltCatalog {
  const { config, providerSettings, gatewayConfig } = loaded;
  return buildCatalog({
    providers,
    configured: new Map([
      ...providerSettings,
      ...[...gatewayConfig.providers].map(([name, { settings }]) => [name, settings] as const),
    ]),
    gatewayConfig,
    isBilled: config.billing.enabled,
    priceBook: new PriceBook({ usdRate: config.billing.usdRate, now: new Date() }),
  });
}
