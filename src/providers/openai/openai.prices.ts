import type { ChatRequest } from '@app/contracts';
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
