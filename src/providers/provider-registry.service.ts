import { isDeepStrictEqual } from 'node:util';
import { ProviderError, type ProviderStrategy } from '@app/contracts';
import type { OnApplicationShutdown } from '@nestjs/common';
import type { GatewayConfig, GatewayProvider } from '../config/gateway-config.js';
import type { ProviderSettingsByName } from '../config/provider-settings.js';
import { closeLightFetch, type LightFetch } from './http/light-fetch.js';
import { createOpenAiCompatible } from './openai-compatible/index.js';
import type { ProviderDefinition, ProviderSettings } from './provider-definition.js';
import { secretsOf } from './resilience/conceal-secrets.js';
import type { StrategyDecorator } from './resilience/resilience.js';

/** What the registry is built from. */
interface ProviderRegistryParts {
  readonly definitions: readonly ProviderDefinition[];
  readonly settings: ProviderSettingsByName;
  readonly decorator: StrategyDecorator;
  readonly fetch: LightFetch;
}

interface Entry {
  readonly raw: ProviderStrategy;
  readonly decorated: ProviderStrategy;
  /** Where it came from, for providers of the GATEWAY_CONFIG file. */
  readonly source: GatewayProvider | undefined;
}

/** The strategies of all configured providers, built at boot; those of the GATEWAY_CONFIG file change with it. */
export class ProviderRegistry implements OnApplicationShutdown {
  #entries: ReadonlyMap<string, Entry> = new Map();

  private constructor(private readonly parts: ProviderRegistryParts) {}

  /** Loads the SDKs of the configured providers, and of no other. */
  static async create(parts: ProviderRegistryParts, file: GatewayConfig): Promise<ProviderRegistry> {
    const registry = new ProviderRegistry(parts);
    const configured = parts.definitions.filter(({ name }) => parts.settings.has(name));
    const builtIn = await Promise.all(configured.map((definition) => registry.#createBuiltIn(definition)));
    registry.#entries = new Map(builtIn);
    (await registry.prepare(file))();
    return registry;
  }

  /** Under the policies of the resilience layer: what requests go through. */
  get(name: string): ProviderStrategy {
    return this.#require(name).decorated;
  }

  /** Without them: for the health checks, which must not be answered by a breaker. */
  raw(name: string): ProviderStrategy {
    return this.#require(name).raw;
  }

  names(): string[] {
    return [...this.#entries.keys()];
  }

  /**
   * Builds what another GATEWAY_CONFIG file needs; the function returned puts it in force. A provider that did not change
   * keeps its strategy. Calls under way go on with the strategy they have.
   */
  async prepare(file: GatewayConfig): Promise<() => void> {
    const builtIn = [...this.#entries].filter(([, entry]) => entry.source === undefined);
    const fromFile = await Promise.all(
      [...file.providers.values()].map((provider) => this.#keepOrCreate(provider)),
    );
    const next = new Map([...builtIn, ...fromFile]);
    return () => {
      this.#entries = next;
    };
  }

  async onApplicationShutdown(): Promise<void> {
    await closeLightFetch(this.parts.fetch);
  }

  async #createBuiltIn(definition: ProviderDefinition): Promise<[string, Entry]> {
    const settings = this.parts.settings.get(definition.name);
    if (!settings) throw new Error(`the provider ${definition.name} is not configured`);
    const raw = await definition.create(settings, { fetch: this.parts.fetch });
    return [definition.name, this.#decorated(raw, settings, undefined)];
  }

  async #keepOrCreate(provider: GatewayProvider): Promise<[string, Entry]> {
    const current = this.#entries.get(provider.name);
    if (current?.source && isDeepStrictEqual(current.source, provider)) return [provider.name, current];
    const raw = await createOpenAiCompatible(provider.name, provider.settings, { fetch: this.parts.fetch });
    return [provider.name, this.#decorated(raw, provider.settings, provider)];
  }

  #decorated(raw: ProviderStrategy, settings: ProviderSettings, source: GatewayProvider | undefined): Entry {
    const options = { requestMs: source?.timeoutMs, secrets: secretsOf(settings) };
    return { raw, decorated: this.parts.decorator.decorate(raw, options), source };
  }

  #require(name: string): Entry {
    const entry = this.#entries.get(name);
    if (!entry) throw taken(name);
    return entry;
  }
}

/** A reload took the provider away from a request that was planned before: asked again, it is planned anew. */
function taken(name: string): ProviderError {
  return new ProviderError('provider_overloaded', `The provider ${name} is no longer configured.`, {
    processed: 'no',
    countsAsFailure: false,
    tryElsewhere: true,
    retryAfterMs: 1000,
  });
}
