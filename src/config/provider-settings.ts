import type { ProviderSettings } from '../providers/provider-definition.js';

/** Injection token of `ProviderSettingsByName`. */
export const PROVIDER_SETTINGS = Symbol('PROVIDER_SETTINGS');

/** Settings of the built-in providers that the environment configures, by `ProviderDefinition.name`. */
export type ProviderSettingsByName = ReadonlyMap<string, ProviderSettings>;
