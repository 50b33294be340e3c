import { ceilPicoToNano, larger, type NanoUsd } from './nano-usd.js';
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
  /** How many calls of the model the counts add up, as far as known; absent = 1. */
  readonly modelCalls?: number | undefined;
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
 * exceed the total (a vendor's slip), they are cut to it in the order of `addInput`, so that the quantities on
 * the receipt always sum up to the vendor's totals and no line is negative. Reasoning is inside the output and has no
 * price of its own. A tool without a price costs nothing.
 *
 * @param usage  integers >= 0; run `saneUsage` over what comes from outside
 */
export function priceUsage(card: PriceCard, usage: UsageQuantities): PricedUsage {
  const { prices, aboveInputTokens } = tierFor(card, usage);
  const receipt = new Receipt();
  addUsage(receipt, card, prices, usage);
  const { costPico, lines } = receipt;
  return { costPico, costNano: ceilPicoToNano(costPico), lines, tierAboveInputTokens: aboveInputTokens };
}

/** `costPico` of `priceUsage` without its lines: every request is charged, few receipts are read. */
export function usageCostPico(card: PriceCard, usage: UsageQuantities): bigint {
  const sum = new CostSum();
  addUsage(sum, card, tierFor(card, usage).prices, usage);
  return sum.costPico;
}

/**
 * The whole request is priced by the highest tier that its input exceeds ("above 200k tokens" = from 200,001 on). Vendors
 * choose it for each call: of a sum over several only the average is known, which the largest has certainly reached.
 */
function tierFor(
  card: PriceCard,
  usage: UsageQuantities,
): { readonly prices: TokenPrices; readonly aboveInputTokens: number } {
  let tier: { prices: TokenPrices; aboveInputTokens: number } = { prices: card.base, aboveInputTokens: 0 };
  const calls = Math.max(1, usage.modelCalls ?? 1);
  for (const candidate of card.tiers) {
    if (usage.inputTokens > candidate.aboveInputTokens * calls) tier = candidate;
  }
  return tier;
}

/**
 * Counts from outside, made safe to multiply: whole, not negative, not absurd. `undefined` stays unknown; a part that is
 * no number becomes unknown too, a total that is none becomes 0.
 */
export function saneUsage<T extends UsageQuantities>(usage: T): T {
  const sane: Record<string, unknown> = { ...(usage as object) };
  for (const key of Object.keys(sane)) {
    sane[key] = key === 'serverToolCalls' ? saneToolCalls(usage[key]) : saneCount(sane[key]);
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

/** Names are stored and shown; nobody bills a tool that is called otherwise. */
const TOOL_NAME = /^[A-Za-z][\w.-]{0,63}$/;

function saneToolCalls(calls: UsageQuantities['serverToolCalls']): Record<string, number> | undefined {
  if (!calls) return undefined;
  const sane = Object.entries(calls).flatMap(([name, value]) => {
    const count = saneCount(value);
    return count === undefined || !TOOL_NAME.test(name) ? [] : [[name, count] as const];
  });
  return Object.fromEntries(sane);
}

/** What the parts of a usage come to. */
class CostSum {
  costPico = 0n;

  /** Most parts of most usages are 0. */
  add(category: PriceCategory, quantity: number, unitPico: bigint): void {
    if (quantity <= 0) return;
    this.addLine(category, quantity, unitPico, BigInt(quantity) * unitPico);
  }

  protected addLine(
    _category: PriceCategory,
    _quantity: number,
    _unitPico: bigint,
    amountPico: bigint,
  ): void {
    this.costPico += amountPico;
  }
}

/** The same, line by line. */
class Receipt extends CostSum {
  readonly lines: PriceLine[] = [];

  protected override addLine(
    category: PriceCategory,
    quantity: number,
    unitPico: bigint,
    amountPico: bigint,
  ): void {
    super.addLine(category, quantity, unitPico, amountPico);
    this.lines.push({ category, quantity, unitPico, amountPico });
  }
}

function addUsage(sum: CostSum, card: PriceCard, prices: TokenPrices, usage: UsageQuantities): void {
  addInput(sum, prices, usage);
  addOutput(sum, prices, usage);
  if (card.requestPico > 0n) sum.add('request', 1, card.requestPico);
  if (usage.serverToolCalls) addToolCalls(sum, card, usage.serverToolCalls);
}

/** Hands out parts of a total until it is used up. */
class Portions {
  constructor(private left: number) {}

  take(wanted = 0): number {
    const portion = Math.max(0, Math.min(wanted, this.left));
    this.left -= portion;
    return portion;
  }
}

function addInput(sum: CostSum, prices: TokenPrices, usage: UsageQuantities): void {
  const parts = new Portions(usage.inputTokens);
  const read = prices.cacheReadPico ?? prices.inputPico;
  const write = prices.cacheWritePico ?? prices.inputPico;
  const audio = prices.audioInputPico ?? prices.inputPico;
  const longWrites = usage.cacheCreation1hInputTokens ?? 0;
  const audioReads = usage.cacheReadAudioInputTokens ?? 0;
  sum.add('cache_write_1h', parts.take(longWrites), prices.cacheWrite1hPico ?? write);
  sum.add('cache_write', parts.take((usage.cacheCreationInputTokens ?? 0) - longWrites), write);
  sum.add('cache_read_audio', parts.take(audioReads), cachedAudioPrice(prices));
  sum.add('cache_read', parts.take((usage.cacheReadInputTokens ?? 0) - audioReads), read);
  sum.add('audio_input', parts.take((usage.audioInputTokens ?? 0) - audioReads), audio);
  sum.add('image_input', parts.take(usage.imageInputTokens), prices.imageInputPico ?? prices.inputPico);
  sum.add('input', parts.take(Infinity), prices.inputPico);
}

/** Cached audio is part of the cached and of the audio input; without a price of its own it costs the dearer of the two. */
function cachedAudioPrice(prices: TokenPrices): bigint {
  const { inputPico, cacheReadPico, audioInputPico, cacheReadAudioPico } = prices;
  if (cacheReadAudioPico !== undefined) return cacheReadAudioPico;
  if (cacheReadPico === undefined) return audioInputPico ?? inputPico;
  return audioInputPico === undefined ? cacheReadPico : larger(cacheReadPico, audioInputPico);
}

function addOutput(sum: CostSum, prices: TokenPrices, usage: UsageQuantities): void {
  const parts = new Portions(usage.outputTokens);
  sum.add('audio_output', parts.take(usage.audioOutputTokens), prices.audioOutputPico ?? prices.outputPico);
  sum.add('image_output', parts.take(usage.imageOutputTokens), prices.imageOutputPico ?? prices.outputPico);
  sum.add('output', parts.take(Infinity), prices.outputPico);
}

function addToolCalls(sum: CostSum, card: PriceCard, calls: Readonly<Record<string, number>>): void {
  for (const [name, count] of Object.entries(calls)) {
    const price = Object.hasOwn(card.toolCallPico, name) ? card.toolCallPico[name] : undefined;
    sum.add(`tool:${name}`, count, price ?? 0n);
  }
}
