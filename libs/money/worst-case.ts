import { ceilPicoToNano, PICO_PER_NANO, type NanoUsd } from './nano-usd.js';
import type { PriceCard, TokenPrices } from './price-card.js';
import { largest } from './price-usage.js';

/** Upper bounds of what a request may use, and what it may ask of the model that has a price of its own. */
export interface UsageBound {
  /** Everything that goes in; audio and image tokens are parts of it. */
  readonly inputTokens: number;
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
  const reachable = [
    card.base,
    ...card.tiers.filter((tier) => bound.inputTokens > tier.aboveInputTokens).map((tier) => tier.prices),
  ];
  const costs = reachable.map((prices) => inputPico(prices, bound));
  const outputs = reachable.map((prices) => outputPico(prices, bound));
  return {
    fixedPico: largest(costs) + card.requestPico + toolPico(card, bound),
    outputTokenPico: largest(outputs),
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
  const text = largest([
    prices.inputPico,
    prices.cacheReadPico ?? 0n,
    prices.cacheWritePico ?? 0n,
    bound.longCacheWrites ? (prices.cacheWrite1hPico ?? 0n) : 0n,
  ]);
  const audio = largest([text, prices.audioInputPico ?? 0n, prices.cacheReadAudioPico ?? 0n]);
  const image = largest([text, prices.imageInputPico ?? 0n]);
  const plain = bound.inputTokens - bound.audioInputTokens - bound.imageInputTokens;
  return (
    text * BigInt(Math.max(0, plain)) +
    audio * BigInt(bound.audioInputTokens) +
    image * BigInt(bound.imageInputTokens)
  );
}

function outputPico(prices: TokenPrices, bound: UsageBound): bigint {
  return largest([
    prices.outputPico,
    prices.imageOutputPico ?? 0n,
    bound.audioOutput ? (prices.audioOutputPico ?? 0n) : 0n,
  ]);
}

function toolPico(card: PriceCard, bound: UsageBound): bigint {
  return Object.entries(bound.serverToolCalls).reduce(
    (sum, [name, calls]) =>
      Object.hasOwn(card.toolCallPico, name) ? sum + (card.toolCallPico[name] ?? 0n) * BigInt(calls) : sum,
    0n,
  );
}
