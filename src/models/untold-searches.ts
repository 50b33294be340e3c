import type { CatalogTarget } from './catalog.js';

/** OpenAI's models that search for every request, once, and do not tell: only a price of the request can charge it. */
const SEARCHES_UNTOLD = /(?:^|\/)gpt-[^/]*-search-(?:preview|api)/;

export function searchesUntold(upstreamModel: string): boolean {
  return SEARCHES_UNTOLD.test(upstreamModel);
}

/** Such a one without a price of the request. */
export function hasUnpricedSearch(target: Pick<CatalogTarget, 'upstreamModel' | 'hasRequestPrice'>): boolean {
  return !target.hasRequestPrice && searchesUntold(target.upstreamModel);
}
