import { Global, Module } from '@nestjs/common';
import { APP_CONFIG, type AppConfig } from '../config/app-config.js';
import { GatewayConfigStore } from '../config/gateway-config.store.js';
import { PROVIDER_SETTINGS, type ProviderSettingsByName } from '../config/provider-settings.js';
import { createLightFetch } from './http/light-fetch.js';
import { ProviderRegistry } from './provider-registry.service.js';
import { PROVIDERS } from './provider-strategies.js';
import { STRATEGY_DECORATOR, type StrategyDecorator } from './resilience/resilience.js';
import { ResilienceModule } from './resilience/resilience.module.js';

/** Longer than any call may take: the caller's signal ends a call, the transport's limits are only the net below it. */
const TRANSPORT_SLACK_MS = 10_000;

/** The providers, each behind its strategy. */
@Global()
@Module({
  imports: [ResilienceModule],
  providers: [
    {
      provide: ProviderRegistry,
      inject: [APP_CONFIG, PROVIDER_SETTINGS, STRATEGY_DECORATOR, GatewayConfigStore],
      useFactory: createRegistry,
    },
  ],
  exports: [ProviderRegistry],
})
export class ProvidersModule {}

async function createRegistry(
  config: AppConfig,
  settings: ProviderSettingsByName,
  decorator: StrategyDecorator,
  file: GatewayConfigStore,
): Promise<ProviderRegistry> {
  const transportMs = config.timeouts.requestMs + TRANSPORT_SLACK_MS;
  const fetch = createLightFetch({
    connectTimeoutMs: config.timeouts.connectMs,
    headersTimeoutMs: transportMs,
    bodyTimeoutMs: transportMs,
  });
  const parts = { definitions: PROVIDERS, settings, decorator, fetch };
  const registry = await ProviderRegistry.create(parts, file.current);
  file.onReload((next) => registry.prepare(next));
  return registry;
}
