import type { ModelInfo } from '@pydantic/genai-prices';
import type { ModelCard, ProviderStrategy } from '@app/contracts';
import type { LightFetch } from './http/light-fetch.js';

/** What a vendor folder exports from its `index.ts`: one entry of `provider-strategies.ts`. */
export interface ProviderDefinition {
  /** OpenTelemetry's `gen_ai.provider.name` where it has one. */
  readonly name: string;
  /** The vendor's name in the bundled price data (`@pydantic/genai-prices`); `undefined` = only prices of its own (`ownPrices`). */
  readonly priceBookId: string | undefined;
  readonly models: readonly ModelCard[];
  /**
   * Prices of tokens that the folder brings itself, by upstream model, in the form of the price data (US dollars per million
   * tokens): of a provider that the data does not know (echo), and of models that are newer than the data. They win.
   */
  readonly ownPrices?: Readonly<Record<string, ModelInfo['prices']>>;
  /** What calls of the vendor's own tools cost, US dollars each, decimal strings, where the price data has nothing of it. */
  toolPrices?(upstreamModel: string): Readonly<Record<string, string>>;
  /** However often a prompt searches, the vendor bills one call. */
  billsSearchesOnce?(upstreamModel: string): boolean;
  /** What a request of the model costs beside its tokens, where the price data has nothing of it: US dollars, a decimal. */
  requestPrice?(upstreamModel: string): string | undefined;
  /** `web_search_options` brings no search there. */
  readonly closesSearchField?: boolean;
  /**
   * Reads the vendor's slice of the environment. `undefined` = not configured, so not loaded and not listed.
   * Faults are pushed to `faults` as `NAME: what is wrong`, never with the value.
   */
  settings(env: Readonly<Record<string, string | undefined>>, faults: string[]): ProviderSettings | undefined;
  /** Imports the vendor's SDK and builds the strategy. Called once, at boot, for configured providers only. */
  create(settings: ProviderSettings, dependencies: ProviderDependencies): Promise<ProviderStrategy>;
}

export interface ProviderSettings {
  /** Without a trailing slash. */
  readonly baseUrl: string;
  /** Undefined for a server that wants none. */
  readonly apiKey: string | undefined;
  /** Further headers of every call to a provider of GATEWAY_CONFIG, e.g. Azure's `api-key`. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly options?: Readonly<Record<string, unknown>>;
}

export interface ProviderDependencies {
  /** `fetch` over undici's request: half the CPU of the global one (see http/README.md). */
  readonly fetch: LightFetch;
}
