import { ceilPicoToNano, type NanoUsd } from './nano-usd.js';
import type { PriceCard, TokenPrices } from './price-card.js';

/**
 * What a call used, as the contracts' `Usage` has it: totals, and parts that are *inside* the totals.
 * `undefined` = not reported.
 */
export interface UsageQuantities {
  readonly inputTokens: number;
  readonly cacheReadInputTokens?: number | undefined;
  readonly cacheCreationInputTokens?: number | undefined;
  readonly cacheCreation1hInputTokens?: number | undefined;
  readonly audioInputTokens?: number | undefined;
  readonly cacheReadAudioInputTokens?: number | undefined;
  readonly imageInputTokens?: number | undefined;
  readonly outputTokens: number;
  readonly audioOutputTokens?: number | undefined;
  readonly imageOutputTokens?: number | undefined;
  readonly serverToolCalls?: Readonly<Record<string, number>> | undefined;
}

export type PriceCategory =
  | 'input'
  | 'cache_read'
  | 'cache_write'
  | 'cache_write_1h'
  | 'audio_input'
  | 'cache_read_audio'
  | 'image_input'
  | 'output'
  | 'audio_output'
  | 'image_output'
  | 'request'
  | `tool:${string}`;

/** One line of a receipt: quantity × unit price = amount, exactly. */
export interface PriceLine {
  readonly category: PriceCategory;
  readonly quantity: number;
  /** Pico-units per token, call or request. */
  readonly unitPico: bigint;
  readonly amountPico: bigint;
}

export interface PricedUsage {
  /** Sum of the lines. */
  readonly costPico: bigint;
  /** `costPico` rounded up, once. */
  readonly costNano: NanoUsd;
  /** Lines with a quantity above zero. */
  readonly lines: readonly PriceLine[];
  /** The tier that applied: its `aboveInputTokens`, 0 for the base prices. */
  readonly tierAboveInputTokens: number;
}

/**
 * Prices what one call used.
 *
 * Categories are made disjoint first: plain input = input − cache reads − cache writes − audio − images. When the parts
 * exceed the total (a vendor's slip), they are cut to it in the order of `splitInput`, so that the quantities on
 * the receipt always sum up to the vendor's totals and no line is negative. Reasoning is inside the output and has no
 * price of its own. A tool without a price costs nothing.
 *
 * @param usage  integers >= 0; run `saneUsage` over what comes from outside
 */
export function priceUsage(card: PriceCard, usage: UsageQuantities): PricedUsage {
  const { prices, aboveInputTokens } = tierFor(card, usage.inputTokens);
  const lines = [
    ...splitInput(usage, prices),
    ...splitOutput(usage, prices),
    line('request', 1, card.requestPico),
    ...toolLines(card, usage.serverToolCalls),
  ].filter((entry) => entry.quantity > 0 && (entry.category !== 'request' || entry.unitPico > 0n));
  const costPico = lines.reduce((sum, entry) => sum + entry.amountPico, 0n);
  return { costPico, costNano: ceilPicoToNano(costPico), lines, tierAboveInputTokens: aboveInputTokens };
}

/** The whole request is priced by the highest tier that its input exceeds ("above 200k tokens" = from 200,001 on). */
export function tierFor(
  card: PriceCard,
  inputTokens: number,
): { readonly prices: TokenPrices; readonly aboveInputTokens: number } {
  let tier: { prices: TokenPrices; aboveInputTokens: number } = { prices: card.base, aboveInputTokens: 0 };
  for (const candidate of card.tiers) if (inputTokens > candidate.aboveInputTokens) tier = candidate;
  return tier;
}

/**
 * Counts from outside, made safe to multiply: whole, not negative, not absurd. `undefined` stays unknown; a part that is
 * no number becomes unknown too, a total that is none becomes 0.
 */
export function saneUsage<T extends UsageQuantities>(usage: T): T {
  const sane: Record<string, unknown> = Object.fromEntries(Object.entries(usage));
  for (const [key, value] of Object.entries(usage)) {
    if (key === 'serverToolCalls') sane[key] = saneToolCalls(value);
    else if (value !== undefined) sane[key] = saneCount(value);
  }
  sane['inputTokens'] ??= 0;
  sane['outputTokens'] ??= 0;
  return sane as T;
}

/** No model reads or writes a billion tokens in one call; a count above is a broken one. */
const MOST_TOKENS = 1_000_000_000;

function saneCount(value: unknown): number | undefined {
  if (typeof value !== 'number' || Number.isNaN(value)) return undefined;
  return Math.min(MOST_TOKENS, Math.max(0, Math.ceil(value)));
}

/** Names are stored and shown: what is no name of a tool is no tool that anybody bills. */
const TOOL_NAME = /^[A-Za-z][\w.-]{0,63}$/;

function saneToolCalls(calls: unknown): Record<string, number> | undefined {
  if (typeof calls !== 'object' || calls === null) return undefined;
  const sane = Object.entries(calls).flatMap(([name, value]) => {
    const count = saneCount(value);
    return count === undefined || !TOOL_NAME.test(name) ? [] : [[name, count] as const];
  });
  return Object.fromEntries(sane);
}

/** Hands out parts of a total until it is used up. */
function portionsOf(total: number): (wanted: number | undefined) => number {
  let left = total;
  return (wanted = 0) => {
    const portion = Math.max(0, Math.min(wanted, left));
    left -= portion;
    return portion;
  };
}

function splitInput(usage: UsageQuantities, prices: TokenPrices): PriceLine[] {
  const take = portionsOf(usage.inputTokens);
  const read = prices.cacheReadPico ?? prices.inputPico;
  const write = prices.cacheWritePico ?? prices.inputPico;
  const audio = prices.audioInputPico ?? prices.inputPico;
  const longWrites = usage.cacheCreation1hInputTokens ?? 0;
  const audioReads = usage.cacheReadAudioInputTokens ?? 0;
  return [
    line('cache_write_1h', take(longWrites), prices.cacheWrite1hPico ?? write),
    line('cache_write', take((usage.cacheCreationInputTokens ?? 0) - longWrites), write),
    line('cache_read_audio', take(audioReads), cachedAudioPrice(prices)),
    line('cache_read', take((usage.cacheReadInputTokens ?? 0) - audioReads), read),
    line('audio_input', take((usage.audioInputTokens ?? 0) - audioReads), audio),
    line('image_input', take(usage.imageInputTokens), prices.imageInputPico ?? prices.inputPico),
    line('input', take(Infinity), prices.inputPico),
  ];
}

/** Cached audio is a part of the cached and a part of the audio input; without a price of its own the dearer one holds. */
function cachedAudioPrice(prices: TokenPrices): bigint {
  if (prices.cacheReadAudioPico !== undefined) return prices.cacheReadAudioPico;
  const candidates = [prices.cacheReadPico, prices.audioInputPico].filter((price) => price !== undefined);
  return candidates.length > 0 ? largest(candidates) : prices.inputPico;
}

function splitOutput(usage: UsageQuantities, prices: TokenPrices): PriceLine[] {
  const take = portionsOf(usage.outputTokens);
  return [
    line('audio_output', take(usage.audioOutputTokens), prices.audioOutputPico ?? prices.outputPico),
    line('image_output', take(usage.imageOutputTokens), prices.imageOutputPico ?? prices.outputPico),
    line('output', take(Infinity), prices.outputPico),
  ];
}

function toolLines(card: PriceCard, calls: Readonly<Record<string, number>> = {}): PriceLine[] {
  return Object.entries(calls).map(([name, count]) =>
    line(
      `tool:${name}`,
      count,
      Object.hasOwn(card.toolCallPico, name) ? (card.toolCallPico[name] ?? 0n) : 0n,
    ),
  );
}

function line(category: PriceCategory, quantity: number, unitPico: bigint): PriceLine {
  return { category, quantity, unitPico, amountPico: BigInt(quantity) * unitPico };
}

export function largest(values: readonly bigint[]): bigint {
  return values.reduce((most, value) => (value > most ? value : most), 0n);
}
