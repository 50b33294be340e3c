import type { ConditionalPrice, ModelPrice } from '@pydantic/genai-prices';
import { paysEverySearch } from './google.traits.js';

/**
 * Models that are newer than the price data.
 *
 * @see https://ai.google.dev/gemini-api/docs/generate-content/latest-model (Argon), read 2026-11-30; the others, and cached input:
 *      not opened, figures as several others cited them in November 2026
 */
export const GOOGLE_PRICES: Readonly<Record<string, ConditionalPrice[] | ModelPrice>> = Object.freeze({
  'gemini-4-argon': [
    { prices: { input_mtok: 2, cache_read_mtok: 0.1, output_mtok: 10 } },
    {
      constraint: { type: 'start_date', start_date: '2026-12-01' },
      prices: { input_mtok: 4, cache_read_mtok: 0.2, output_mtok: 20 },
    },
  ],
  'gemini-4-hydrogen': { input_mtok: 1.5, cache_read_mtok: 0.075, output_mtok: 7.5 },
});

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
