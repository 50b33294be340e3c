import type { ModelCapabilities, ModelCard } from '@app/contracts';
import { type PriceCard, priceVersionOf } from '@app/money';
import type { GatewayConfig, GatewayModel, GatewayPrice, GatewayTarget } from '../config/gateway-config.js';
import { pathOf } from '../config/gateway-file/config-node.js';
import type { ProviderDefinition, ProviderSettings } from '../providers/provider-definition.js';
import { isAllowed } from '../providers/openai-compatible/closed-params.js';
import type { CatalogModel, CatalogTarget } from './catalog.js';
import { Snapshot } from './catalog-snapshot.js';
import { FilePrices, ofFile, over, toPriceCard } from './file-prices.js';
import type { PriceBook } from './price-book.js';
import { hasUnpricedSearch, searchesUntold } from './untold-searches.js';

export interface CatalogSources {
  /** The built-in providers, configured or not. */
  readonly providers: readonly ProviderDefinition[];
  /** Settings of those that are configured, and of the file's, by name. */
  readonly configured: ReadonlyMap<string, Pick<ProviderSettings, 'baseUrl'>>;
  readonly gatewayConfig: GatewayConfig;
  readonly priceBook: PriceBook;
  /** BILLING_ENABLED */
  readonly isBilled: boolean;
}

export interface BuiltCatalog {
  readonly snapshot: Snapshot;
  /** Places in the GATEWAY_CONFIG file that leave a target without a price. */
  readonly faults: readonly string[];
  /** Models that are not served although their provider is configured, with the reason. For the log. */
  readonly leftOut: readonly string[];
  readonly priceVersions: readonly PriceVersion[];
}

/** A price that holds and ledger rows may refer to. */
export interface PriceVersion {
  /** Content address of `card`. */
  readonly id: string;
  readonly provider: string;
  /** The model's name at the provider; ends in `*` for a wildcard. */
  readonly model: string;
  readonly card: PriceCard;
}

/** Limits of a model that neither the file nor the data describes. */
const DEFAULT_CONTEXT_WINDOW = 32_768;
const DEFAULT_MAX_OUTPUT_TOKENS = 8192;
/** What an OpenAI-compatible server is taken to understand until the file says otherwise: it refuses by itself what it does not. */
const DEFAULT_CAPABILITIES: ModelCapabilities = {
  tools: true,
  vision: true,
  documents: false,
  audioInput: false,
  jsonSchema: true,
  reasoning: false,
};
/** Models of the file have no release date; a fixed one keeps lists equal over restarts. */
const CREATED_BY_FILE = 1_735_689_600;

/** Joins the built-in models and the GATEWAY_CONFIG file into what can be served now. Pure. */
export function buildCatalog(sources: CatalogSources): BuiltCatalog {
  return new CatalogBuilder(sources).build();
}

class CatalogBuilder {
  readonly #faults: string[] = [];
  readonly #leftOut: string[] = [];
  readonly #definitions: ReadonlyMap<string, ProviderDefinition>;
  readonly #filePrices: FilePrices;

  constructor(private readonly sources: CatalogSources) {
    this.#definitions = new Map(sources.providers.map((definition) => [definition.name, definition]));
    this.#filePrices = new FilePrices(sources.gatewayConfig);
  }

  build(): BuiltCatalog {
    const { isBilled } = this.sources;
    const models = new Map<string, CatalogModel>();
    for (const model of [...this.#builtInModels(), ...this.#fileModels()]) {
      if (!models.has(model.id)) models.set(model.id, model);
    }
    const aliases = this.#aliases(models);
    const namesOf = Map.groupBy(aliases.keys(), (alias) => aliases.get(alias));
    return {
      snapshot: new Snapshot(
        [...models.values()].map((model) => withAliases(model, namesOf.get(model.id) ?? [])),
        aliases,
        isBilled,
      ),
      faults: this.#faults,
      leftOut: this.#leftOut,
      priceVersions: versionsOf(models.values()),
    };
  }

  /** Models of configured vendors, with the file's changes to them; without those that the file replaces. */
  #builtInModels(): CatalogModel[] {
    const { providers, configured, gatewayConfig } = this.sources;
    return providers
      .filter((definition) => configured.has(definition.name))
      .flatMap((definition) => definition.models.map((card) => ({ definition, card })))
      .filter(({ card }) => !gatewayConfig.models.get(card.id)?.targets)
      .flatMap(({ definition, card }) => this.#builtIn(card.id, definition, card) ?? []);
  }

  /** The file's own models; a name without targets that is a built-in alias becomes a model like the one it leads to. */
  #fileModels(): CatalogModel[] {
    return [...this.sources.gatewayConfig.models.values()].flatMap((entry) => {
      if (entry.targets) return this.#fromFile(entry, entry.targets) ?? [];
      const family = this.#familyOf(entry.id);
      return family ? (this.#builtIn(entry.id, family.definition, family.card) ?? []) : [];
    });
  }

  #familyOf(alias: string): { definition: ProviderDefinition; card: ModelCard } | undefined {
    return this.sources.providers
      .filter((definition) => this.sources.configured.has(definition.name))
      .flatMap((definition) => definition.models.map((card) => ({ definition, card })))
      .find(({ card }) => card.aliases?.includes(alias));
  }

  #builtIn(id: string, definition: ProviderDefinition, card: ModelCard): CatalogModel | undefined {
    const entry = this.sources.gatewayConfig.models.get(id);
    const upstreamModel = card.upstreamModel ?? card.id;
    const { price: vendors } = this.sources.priceBook.ofVendor(definition, upstreamModel);
    const billing = this.#billing(definition.name, upstreamModel, over(entry?.price, vendors));
    if (!billing) {
      this.#leftOut.push(`${id}: has no complete price at ${definition.name}`);
      return undefined;
    }
    const target = {
      provider: definition.name,
      upstreamModel,
      weight: 1,
      ...billing,
      ...limits(entry, card, undefined),
    };
    return assemble(id, entry, [withVersion(target)], card);
  }

  #fromFile(entry: GatewayModel, wanted: readonly GatewayTarget[]): CatalogModel | undefined {
    const targets = wanted.flatMap((target, index) => this.#target(entry, target, index) ?? []);
    if (targets.length > 0) return assemble(entry.id, entry, targets, this.#cardOf(entry.id));
    this.#leftOut.push(`${entry.id}: none of its targets can be served`);
    return undefined;
  }

  /** A target of the file; `undefined` when its provider is not configured or nothing prices it. */
  #target(entry: GatewayModel, target: GatewayTarget, index: number): CatalogTarget | undefined {
    const definition = this.#definitions.get(target.provider);
    if (definition && !this.sources.configured.has(definition.name)) return undefined;
    const { provider, upstreamModel, weight } = target;
    const vendors = definition && this.sources.priceBook.ofVendor(definition, upstreamModel);
    const billing = this.#billing(provider, upstreamModel, this.#priceOf(entry, target, vendors?.price));
    if (!billing) return this.#unpriced(entry, target, index);
    if (this.sources.isBilled && hasUnpricedSearch({ upstreamModel, ...billing })) {
      this.#leftOut.push(
        `${entry.id}: ${upstreamModel} searches on every request, but has no price per_request`,
      );
      return undefined;
    }
    const card = definition?.models.find((known) => (known.upstreamModel ?? known.id) === upstreamModel);
    const sameName = definition?.models.find((known) => known.id === entry.id);
    return withVersion({
      provider,
      upstreamModel,
      weight,
      ...billing,
      ...limits(entry, card ?? sameName, vendors?.contextWindow),
    });
  }

  #unpriced(entry: GatewayModel, target: GatewayTarget, index: number): undefined {
    const isBuiltIn = this.#definitions.has(target.provider);
    const unknown = isBuiltIn ? 'is not in the price data' : 'has no token price';
    const what = this.#filePrices.isAmbiguous(target) ? 'has several prices in this file' : unknown;
    this.#faults.push(
      `${pathOf('models', entry.id)}.targets[${index}]: ${what}; ` +
        'give the target or the model `input_per_million` and `output_per_million` in its `price`',
    );
    return undefined;
  }

  /** Tokens that the file does not price here cost what the vendor takes, else what they cost at the same target elsewhere. */
  #priceOf(
    entry: GatewayModel,
    target: GatewayTarget,
    vendors: GatewayPrice | undefined,
  ): GatewayPrice | undefined {
    const here = ofFile(target.price, entry.price);
    const isPriced = here?.base !== undefined || vendors?.base !== undefined;
    return over(isPriced ? here : over(here, this.#filePrices.of(target)), vendors);
  }

  #billing(
    provider: string,
    upstreamModel: string,
    price: GatewayPrice | undefined,
  ):
    | Pick<CatalogTarget, 'baseUrl' | 'price' | 'hasRequestPrice' | 'searchField' | 'billsSearchesOnce'>
    | undefined {
    const card = toPriceCard(price);
    return (
      card && {
        baseUrl: this.sources.configured.get(provider)?.baseUrl,
        price: card,
        hasRequestPrice: price?.requestPico !== undefined,
        searchField: this.#searchField(provider, upstreamModel),
        billsSearchesOnce: this.#definitions.get(provider)?.billsSearchesOnce?.(upstreamModel),
      }
    );
  }

  #searchField(provider: string, upstreamModel: string): CatalogTarget['searchField'] {
    const definition = this.#definitions.get(provider);
    if (definition?.closesSearchField) return 'closed';
    if (definition) return searchesUntold(upstreamModel) ? 'passed' : undefined;
    const options = this.sources.gatewayConfig.providers.get(provider)?.settings.options;
    return isAllowed('web_search_options', options?.['allowedParams']) ? 'passed' : 'closed';
  }

  #cardOf(id: string): ModelCard | undefined {
    return this.sources.providers.flatMap(({ models }) => models).find((card) => card.id === id);
  }

  /** Built-in aliases of served models, then the file's, which win. */
  #aliases(models: ReadonlyMap<string, CatalogModel>): Map<string, string> {
    const builtIn = new Map<string, string>();
    for (const card of this.sources.providers.flatMap((definition) => definition.models)) {
      for (const alias of card.aliases ?? []) {
        if (models.has(card.id) && !models.has(alias) && !builtIn.has(alias)) builtIn.set(alias, card.id);
      }
    }
    const ofFile = this.sources.gatewayConfig.aliases;
    const resolved = [...ofFile.keys()].map((alias) => [alias, follow(alias, ofFile, builtIn)] as const);
    return new Map([...builtIn, ...resolved]);
  }
}

function withAliases(model: CatalogModel, names: readonly string[]): CatalogModel {
  return Object.freeze({ ...model, aliases: Object.freeze(names.toSorted()) });
}

/** Through the file's aliases to a name that is none of them; the file was checked for loops. */
function follow(
  alias: string,
  fileAliases: ReadonlyMap<string, string>,
  builtIn: ReadonlyMap<string, string>,
): string {
  let name = alias;
  for (let next = fileAliases.get(name); next !== undefined; next = fileAliases.get(name)) name = next;
  return builtIn.get(name) ?? name;
}

function limits(
  entry: GatewayModel | undefined,
  card: ModelCard | undefined,
  knownContextWindow: number | undefined,
): Pick<CatalogTarget, 'contextWindow' | 'maxOutputTokens' | 'capabilities'> {
  const contextWindow =
    entry?.contextWindow ?? card?.contextWindow ?? knownContextWindow ?? DEFAULT_CONTEXT_WINDOW;
  const maxOutputTokens = entry?.maxOutputTokens ?? card?.maxOutputTokens ?? DEFAULT_MAX_OUTPUT_TOKENS;
  return {
    contextWindow,
    maxOutputTokens: Math.min(maxOutputTokens, contextWindow),
    capabilities: Object.freeze({ ...(card?.capabilities ?? DEFAULT_CAPABILITIES), ...entry?.capabilities }),
  };
}

function withVersion(target: Omit<CatalogTarget, 'priceVersion'>): CatalogTarget {
  return Object.freeze({ ...target, priceVersion: priceVersionOf(target.price) });
}

function assemble(
  id: string,
  entry: GatewayModel | undefined,
  targets: readonly CatalogTarget[],
  card: ModelCard | undefined,
): CatalogModel {
  return {
    id,
    root: id,
    ownedBy: entry?.ownedBy ?? card?.ownedBy ?? targets[0]?.provider ?? 'gateway',
    created: card?.created ?? CREATED_BY_FILE,
    targets,
    fallbacks: entry?.fallbacks ?? [],
    cache: entry?.cache,
    aliases: [],
  };
}

function versionsOf(models: Iterable<CatalogModel>): PriceVersion[] {
  const versions = new Map<string, PriceVersion>();
  for (const { targets } of models) {
    for (const { priceVersion, provider, upstreamModel, price } of targets) {
      versions.set(`${priceVersion}\n${provider}\n${upstreamModel}`, {
        id: priceVersion,
        provider,
        model: upstreamModel,
        card: price,
      });
    }
  }
  return [...versions.values()];
}
