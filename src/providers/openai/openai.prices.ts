import type { ChatRequest } from '@app/contracts';
import type { ModelPrice } from '@pydantic/genai-prices';
import { type ClosedParam, closedParams, foldedNames } from '../openai-compatible/closed-params.js';
import { isReasoningModel } from './openai.dialect.js';

/** OpenAI's searches have a price. */
const PRICED = foldedNames(['web_search_options']);

/**
 * What clients may not set: at OpenAI itself, and at whatever else stands behind OPENAI_BASE_URL.
 *
 * @see https://openai.com/api-priority-processing, https://developers.openai.com/api/docs/pricing, read 2026-11-29
 */
export function closedAtOpenAi(request: ChatRequest): readonly ClosedParam[] {
  return closedParams(request, PRICED);
}

/**
 * Models that are newer than the price data: input, cached input, output.
 *
 * @see https://developers.openai.com/api/docs/models/gpt-6.1-terra and …/gpt-6.2-sol, read 2026-11-30. The pages of the other two
 *      were not opened: their figures as several others cited them in November 2026
 */
export const OPENAI_PRICES: Readonly<Record<string, ModelPrice>> = Object.freeze({
  'gpt-6.1-sol': since6Point1(2, 0.1, 10),
  'gpt-6.1-terra': since6Point1(1, 0.05, 5),
  'gpt-6.2-astra': since6Point1(8, 0.4, 40),
  'gpt-6.2-sol': since6Point1(2, 0.1, 10),
});

/** A cache write costs 1.25 times the input for half an hour, 2.5 times for twelve hours. Long input makes the whole request dearer. */
function since6Point1(input: number, cached: number, output: number): ModelPrice {
  const tiered = (base: number, times: number) => ({
    base,
    tiers: [{ start: 272_000, price: base * times }],
  });
  return {
    input_mtok: tiered(input, 2),
    cache_read_mtok: tiered(cached, 2),
    cache_write_mtok: tiered(input * 1.25, 2),
    cache_write_1h_mtok: tiered(input * 2.5, 2),
    output_mtok: tiered(output, 1.5),
  };
}

/**
 * The price data has prices of web and file searches for most models, and lacks some. `code_execution` is twenty minutes of a
 * container of one gigabyte (OpenAI bills five at least). The older web search costs the same as the newer one with models
 * that reason, and more with others; as answers do not tell them apart, it has no price there.
 *
 * @see https://developers.openai.com/api/docs/pricing (not opened: figures as others cited them in November 2026)
 */
export function toolPricesAtOpenAi(upstreamModel: string): Readonly<Record<string, string>> {
  return {
    web_search: '0.01',
    ...(isReasoningModel(upstreamModel) ? { web_search_preview: '0.01' } : {}),
    file_search: '0.0025',
    code_execution: '0.03',
  };
}

/** Models that search once for every request, and do not report it. */
export function requestPriceAtOpenAi(upstreamModel: string): string | undefined {
  if (/^gpt-4o(?:-mini)?-search-preview/.test(upstreamModel)) return '0.025';
  return upstreamModel.startsWith('gpt-5-search-api') ? '0.01' : undefined;
}
