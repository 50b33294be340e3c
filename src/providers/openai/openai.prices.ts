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
 * The price data has searches of the web and of files at most models, and forgets some; whoever has none, never bills any.
 * A container of the interpreter, of one gigabyte: what twenty minutes of it cost; OpenAI bills five minutes at least. The
 * older search costs models that reason what the newer one costs, others more, and answers do not tell one from the other: it has
 * no price there.
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

/** Models that search for every request, once, and tell nothing of it. */
export function requestPriceAtOpenAi(upstreamModel: string): string | undefined {
  if (/^gpt-4o(?:-mini)?-search-preview/.test(upstreamModel)) return '0.025';
  return upstreamModel.startsWith('gpt-5-search-api') ? '0.01' : undefined;
}
