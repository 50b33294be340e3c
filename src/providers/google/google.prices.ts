import { paysEverySearch } from './google.traits.js';

/**
 * A search with Google: each query since Gemini 3; before, each prompt with at least one query. The free queries of a day or month
 * benefit the operator. Code that Google runs costs only its tokens. Maps are billed, but no answer says how often they were used.
 *
 * @see https://ai.google.dev/gemini-api/docs/pricing (not opened: figures as others cited them in November 2026)
 */
export function toolPrices(upstreamModel: string): Readonly<Record<string, string>> {
  const search = paysEverySearch(upstreamModel) ? '0.014' : '0.035';
  return { web_search: search, web_search_preview: search, code_execution: '0' };
}
