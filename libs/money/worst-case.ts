import { ceilPicoToNano, larger, PICO_PER_NANO, type NanoUsd } from './nano-usd.js';
import type { PriceCard, TokenPrices } from './price-card.js';

/** Upper bounds of what a request may use, and which extras with a price of their own it asks for. */
export interface UsageBound {
  /** Everything that goes in; audio and image tokens are parts of it. */
  readonly inputTokens: number;
  /** The most of these that one call of the model reads; decides the tier. */
  readonly largestCallTokens: number;
  readonly audioInputTokens: number;
  readonly imageInputTokens: number;
  /** The request asks for cache entries with the long lifetime, which cost more than other input. */
  readonly longCacheWrites: boolean;
  /** The request asks for spoken output. */
  readonly audioOutput: boolean;
  /** Most calls of server-side tools, by name. */
  readonly serverToolCalls: Readonly<Record<string, number>>;
}

/** A request's worst case at one card: `fixedPico` whatever comes out, and so much for each output token. */
export interface WorstCase {
  /** Input, request fee and tool fees, pico-units. */
  readonly fixedPico: bigint;
  readonly outputTokenPico: bigint;
}

/**
 * The most a request can cost at one card. Monotone in the bound: every input token is priced at the dearest
 * category it may turn out to be, at the dearest tier it may reach.
 */
export function worstCase(card: PriceCard, bound: UsageBound): WorstCase {
  let input = inputPico(card.base, bound);
  let output = outputPico(card.base, bound);
  for (const { aboveInputTokens, prices } of card.tiers) {
    if (bound.largestCallTokens <= aboveInputTokens) continue;
    input = larger(input, inputPico(prices, bound));
    output = larger(output, outputPico(prices, bound));
  }
  return {
    fixedPico: input + card.requestPico + toolPico(card, bound.serverToolCalls),
    outputTokenPico: output,
  };
}

/** What to hold for so many output tokens, rounded up. */
export function worstCaseCost(worst: WorstCase, outputTokens: number): NanoUsd {
  return ceilPicoToNano(worst.fixedPico + worst.outputTokenPico * BigInt(outputTokens));
}

/**
 * The most output tokens that `budget` covers besides the fixed part: `worstCaseCost(worst, result) <= budget`, and one
 * token more would exceed it. `undefined` when not even the fixed part is covered; Infinity when output is free.
 */
export function affordableOutputTokens(worst: WorstCase, budget: NanoUsd): number | undefined {
  const left = budget * PICO_PER_NANO - worst.fixedPico;
  if (left < 0n) return undefined;
  if (worst.outputTokenPico === 0n) return Infinity;
  return Number(left / worst.outputTokenPico);
}

function inputPico(prices: TokenPrices, bound: UsageBound): bigint {
  const { audioInputTokens, imageInputTokens } = bound;
  const text = textPico(prices, bound.longCacheWrites);
  let sum = text * BigInt(Math.max(0, bound.inputTokens - audioInputTokens - imageInputTokens));
  if (audioInputTokens > 0) {
    const audio = larger(prices.audioInputPico ?? 0n, prices.cacheReadAudioPico ?? 0n);
    sum += larger(text, audio) * BigInt(audioInputTokens);
  }
  if (imageInputTokens > 0) sum += larger(text, prices.imageInputPico ?? 0n) * BigInt(imageInputTokens);
  return sum;
}

/** A token of text may turn out to be read from the cache, or written to it. */
function textPico(prices: TokenPrices, longCacheWrites: boolean): bigint {
  const short = larger(prices.cacheReadPico ?? 0n, prices.cacheWritePico ?? 0n);
  const cached = longCacheWrites ? larger(short, prices.cacheWrite1hPico ?? 0n) : short;
  return larger(prices.inputPico, cached);
}

function outputPico(prices: TokenPrices, bound: UsageBound): bigint {
  const drawn = larger(prices.outputPico, prices.imageOutputPico ?? 0n);
  return bound.audioOutput ? larger(drawn, prices.audioOutputPico ?? 0n) : drawn;
}

function toolPico(card: PriceCard, calls: Readonly<Record<string, number>>): bigint {
  let sum = 0n;
  for (const name of Object.keys(calls)) {
    if (Object.hasOwn(card.toolCallPico, name))
      sum += (card.toolCallPico[name] ?? 0n) * BigInt(calls[name] ?? 0);
  }
  return sum;
}
