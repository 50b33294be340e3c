import type { ProviderStrategy } from '@app/contracts';
import { describe, expect, it } from 'vitest';
import type { GatewayConfig, GatewayProvider } from '../config/gateway-config.js';
import { createLightFetch } from './http/light-fetch.js';
import type { ProviderDefinition, ProviderSettings } from './provider-definition.js';
import { ProviderRegistry } from './provider-registry.service.js';
import { PROVIDERS } from './provider-strategies.js';

const settings = (baseUrl = 'http://127.0.0.1:1'): ProviderSettings => ({ baseUrl, apiKey: 'k' });

function strategy(providerName: string): ProviderStrategy {
  const never = () => Promise.reject(new Error('not called'));
  return { providerName, cancelStopsBilling: true, complete: never, stream: never };
}

function definition(name: string): ProviderDefinition {
  return {
    name,
    priceBookId: name,
    models: [],
    settings: () => settings(),
    create: (given) => Promise.resolve(strategy(`${name} at ${given.baseUrl}`)),
  };
}

function file(...providers: GatewayProvider[]): GatewayConfig {
  return {
    providers: new Map(providers.map((one) => [one.name, one])),
    models: new Map(),
    aliases: new Map(),
  };
}

const local = (name: string, baseUrl?: string): GatewayProvider => ({
  name,
  type: 'openai-compatible',
  settings: settings(baseUrl),
  timeoutMs: undefined,
});

function registry(config: GatewayConfig): Promise<ProviderRegistry> {
  return ProviderRegistry.create(
    {
      definitions: [definition('a'), definition('b'), definition('off')],
      settings: new Map([
        ['a', settings('one')],
        ['b', settings('two')],
      ]),
      decorator: { decorate: (raw) => ({ ...raw, providerName: `decorated ${raw.providerName}` }) },
      fetch: createLightFetch(),
    },
    config,
  );
}

describe('ProviderRegistry', () => {
  it('has the configured providers and those of the file, decorated and raw', async () => {
    const providers = await registry(file(local('local')));
    expect(providers.names()).toEqual(['a', 'b', 'local']);
    expect(providers.get('a').providerName).toBe('decorated a at one');
    expect(providers.raw('a').providerName).toBe('a at one');
    expect(providers.raw('local').providerName).toBe('local');
    expect(() => providers.get('off')).toThrow('off');
  });

  it('changes nothing until the new file is in force, and then only what changed', async () => {
    const providers = await registry(file(local('kept'), local('changed'), local('removed')));
    const [a, kept, changed] = ['a', 'kept', 'changed'].map((name) => providers.get(name));
    const commit = await providers.prepare(
      file(local('kept'), local('changed', 'http://127.0.0.1:2'), local('new')),
    );
    expect(providers.names()).toEqual(['a', 'b', 'kept', 'changed', 'removed']);
    commit();
    expect(providers.names()).toEqual(['a', 'b', 'kept', 'changed', 'new']);
    expect([providers.get('a'), providers.get('kept')]).toEqual([a, kept]);
    expect(providers.get('a')).toBe(a);
    expect(providers.get('kept')).toBe(kept);
    expect(providers.get('changed')).not.toBe(changed);
  });

  it('fails as a whole when a provider cannot be built', async () => {
    const broken = { ...definition('a'), create: () => Promise.reject(new Error('no SDK')) };
    const parts = {
      definitions: [broken],
      settings: new Map([['a', settings()]]),
      decorator: { decorate: (raw: ProviderStrategy) => raw },
      fetch: createLightFetch(),
    };
    await expect(ProviderRegistry.create(parts, file())).rejects.toThrow('no SDK');
  });
});

describe('the built-in providers', () => {
  it('have names, models and aliases of their own', () => {
    const names = PROVIDERS.map(({ name }) => name);
    const models = PROVIDERS.flatMap((provider) =>
      provider.models.flatMap((card) => [card.id, ...(card.aliases ?? [])]),
    );
    expect(names).toEqual([...new Set(names)]);
    expect(models).toEqual([...new Set(models)]);
  });

  it('are off without their keys, all but the echo, and say nothing about it', () => {
    const faults: string[] = [];
    const configured = PROVIDERS.filter((provider) => provider.settings({}, faults)).map(({ name }) => name);
    expect(configured).toEqual(['echo']);
    expect(faults).toEqual([]);
  });
});
