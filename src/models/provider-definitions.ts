/** Injection token of the built-in providers, `readonly ProviderDefinition[]`: `PROVIDERS`, or a test's own. */
export const PROVIDER_DEFINITIONS = Symbol('PROVIDER_DEFINITIONS');
