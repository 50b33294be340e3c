import { paysEverySearch } from './google.traits.js';

/**
 * A search with Google: every query from Gemini 3 on, before that a prompt for which there were any. The free ones of each
 * day or month are the operator's. Code that Google runs is billed by its tokens alone. Maps are billed, but no answer tells how often.
 *
 * @see https://ai.google.dev/gemini-api/docs/pricing (not opened: figures as others cited them in November 2026)
 */
export function toolPrices(upstreamModel: string): Readonly<Record<string, string>> {
  const search = paysEverySearch(upstreamModel) ? '0.014' : '0.035';
  return { web_search: search, web_search_preview: search, code_execution: '0' };
}
