export type { ProviderDefinition, ProviderDependencies, ProviderSettings } from './provider-definition.js';
export { ProviderRegistry } from './provider-registry.service.js';
export { PROVIDERS } from './provider-strategies.js';
export { ProvidersModule } from './providers.module.js';
