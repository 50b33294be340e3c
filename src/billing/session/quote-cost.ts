import { affordableOutputTokens, larger, MAX_NANO, type NanoUsd, smaller, worstCaseCost } from '@app/money';
import type { HoldQuote } from '../billing-session.js';

/** The output limit of each answer: the client's, and never above the largest of the targets'. */
export function outputLimit(quote: HoldQuote): number {
  return Math.min(quote.requestedMaxOutputTokens ?? quote.modelMaxOutputTokens, quote.modelMaxOutputTokens);
}

/**
 * Worst case when each answer has at most `outputTokens`: the dearest of the targets. Never more than an account can hold:
 * nobody could pay that either, and the database would refuse a larger number, and all holds of its batch with it.
 */
export function quoteCost(quote: HoldQuote, outputTokens: number): NanoUsd {
  let most = 0n;
  for (const { worst, maxOutputTokens } of quote.bounds) {
    const tokens = Math.min(outputTokens, maxOutputTokens) * quote.choices;
    most = larger(most, worstCaseCost(worst, tokens));
  }
  return smaller(most, MAX_NANO);
}

/**
 * The highest output limit (of each answer) that a budget covers at every target, at most the models' own; `undefined`
 * when it does not even cover the input.
 */
export function affordableLimit(quote: HoldQuote, budgetNano: NanoUsd): number | undefined {
  let limit = quote.modelMaxOutputTokens;
  for (const { worst, maxOutputTokens } of quote.bounds) {
    const tokens = affordableOutputTokens(worst, budgetNano);
    if (tokens === undefined) return undefined;
    const perChoice = Math.floor(tokens / quote.choices);
    // A target that cannot write more than the budget covers sets no limit to the others.
    if (perChoice < maxOutputTokens) limit = Math.min(limit, perChoice);
  }
  return limit;
}
