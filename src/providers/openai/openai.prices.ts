import type { ProviderCall } from '@app/contracts';
import { type ClosedParam, closedParams, foldedNames } from '../openai-compatible/closed-params.js';
import { isReasoningModel } from './openai.dialect.js';

/** OpenAI's searches have a price. */
const PRICED = foldedNames(['web_search_options']);
/** The price book has none for what these search: o1-pro, o3-pro, codex-mini, gpt-5.3-codex. */
const WITHOUT_SEARCH_PRICE = /^(?:o[13]-pro|codex-mini|gpt-5\.3-codex)/;
const NOTHING_PRICED: ReadonlySet<string> = new Set();

/**
 * What clients may not set: at OpenAI itself, and at whatever else stands behind OPENAI_BASE_URL.
 *
 * @see https://openai.com/api-priority-processing, https://developers.openai.com/api/docs/pricing, read 2026-11-29
 */
export function closedAtOpenAi({
  request,
  upstreamModel,
}: Pick<ProviderCall, 'request' | 'upstreamModel'>): readonly ClosedParam[] {
  return closedParams(request, WITHOUT_SEARCH_PRICE.test(upstreamModel) ? NOTHING_PRICED : PRICED);
}

/**
 * A container of the interpreter, of one gigabyte: what twenty minutes of it cost; OpenAI bills five minutes at least. The
 * older search costs models that reason what the newer one costs, others more, and for its tokens nothing: it has no price there.
 *
 * @see https://developers.openai.com/api/docs/pricing (not opened: figures as others cited them in November 2026)
 */
export function toolPricesAtOpenAi(upstreamModel: string): Readonly<Record<string, string>> {
  return {
    code_execution: '0.03',
    ...(isReasoningModel(upstreamModel) ? { web_search_preview: '0.01' } : {}),
  };
}
