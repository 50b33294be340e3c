import type { ProviderDefinition } from '../providers/provider-definition.js';

/** Names of the variables that the vendors' folders read, found by letting them read. */
export function providerVariables(providers: readonly ProviderDefinition[]): readonly string[] {
  const names = new Set<string>();
  const watched = new Proxy<Record<string, string | undefined>>(
    {},
    {
      get: (_target, name) => {
        if (typeof name === 'string') names.add(name);
        // A key must look set, or a folder would read no further.
        return typeof name === 'string' && name.endsWith('_KEY') ? 'set' : undefined;
      },
    },
  );
  for (const provider of providers) provider.settings(watched, []);
  return [...names];
}
