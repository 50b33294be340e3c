import type { PriceCard } from '@app/money';

/** OpenAI's models that search for every request, once, and do not tell: only a price of the request can charge it. */
const SEARCHES_UNTOLD = /(?:^|\/)gpt-[^/]*-search-(?:preview|api)/;

export function searchesUntold(upstreamModel: string): boolean {
  return SEARCHES_UNTOLD.test(upstreamModel);
}

/** Such a one without a price of the request. A card does not tell a price of 0 from none. */
export function hasUnpricedSearch(target: {
  readonly upstreamModel: string;
  readonly price: PriceCard;
}): boolean {
  return target.price.requestPico === 0n && searchesUntold(target.upstreamModel);
}
