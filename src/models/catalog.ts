import type { ModelCapabilities } from '@app/contracts';
import type { PriceCard } from '@app/money';

/** One servable model: every target is configured and completely priced. Immutable; a reload makes new ones. */
export interface CatalogModel {
  readonly id: string;
  /** The id that an alias leads to; of every other model its own id. */
  readonly root: string;
  readonly ownedBy: string;
  /** Unix seconds */
  readonly created: number;
  readonly targets: readonly CatalogTarget[];
  /** Model ids to try when every target failed, in order. */
  readonly fallbacks: readonly string[];
  /** Response caching switched on for this model in GATEWAY_CONFIG; `undefined` = only on request. */
  readonly cache: { readonly ttlMs: number } | undefined;
  /** The names that lead here besides the id. */
  readonly aliases: readonly string[];
}

/** A model at a provider. */
export interface CatalogTarget {
  readonly provider: string;
  /** Where the provider is: after a reload a name may stand for another server. */
  readonly baseUrl?: string | undefined;
  readonly upstreamModel: string;
  /** Share of the traffic; 0 = only when the weighted ones failed. */
  readonly weight: number;
  readonly contextWindow: number;
  readonly maxOutputTokens: number;
  readonly capabilities: ModelCapabilities;
  readonly price: PriceCard;
  /** Somebody says what a request costs, be it 0: a card does not tell that from nothing said. */
  readonly hasRequestPrice?: boolean | undefined;
  /** What becomes of `web_search_options`: no search, passed on as it is, or (`undefined`) a search of the vendor's. */
  readonly searchField?: 'closed' | 'passed' | undefined;
  /** However often a prompt searches, that is billed as one call. */
  readonly billsSearchesOnce?: boolean | undefined;
  /** Content address of `price` (sha-256 of its canonical JSON): what holds and ledger rows refer to. */
  readonly priceVersion: string;
}

/** A catalogue at one moment. Holds every lookup that a request needs, so that a reload never tears one. */
export interface CatalogSnapshot {
  /** By id or alias. For a wildcard entry the model is made on the spot. `undefined` = not served. */
  find(name: string): CatalogModel | undefined;
  /** Sorted by id; aliases are listed as models of their own (with `root` = the id they lead to). */
  list(): readonly CatalogModel[];
  /** Whether some model leads there. `upstreamModel` is a name as a provider is asked for it, never a wildcard. */
  leadsTo(provider: string, upstreamModel: string): boolean;
}
