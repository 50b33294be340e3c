import { type ChatRequest, requestedMaxOutputTokens } from '@app/contracts';
import { type UsageBound, worstCase } from '@app/money';
import { Injectable } from '@nestjs/common';
import type { PlannedTarget, RoutePlan } from '../routing/route-plan.js';
import type { HoldQuote, QuoteTarget, TargetBound } from './billing-session.js';
import { PriceVersions } from './prices/price-versions.service.js';
import { countTextBound } from './quote/count-text.js';
import { boundInput, type InputBound, totalTokens } from './quote/input-bound.js';
import { serverToolCallBounds } from './quote/server-tools.js';

/** A document that lies elsewhere, when no model is in mind yet. */
const UNKNOWN_DOCUMENT_TOKENS = 50_000;

/** A target's input: what is in it, and its text counted (or bounded by its bytes). */
interface TargetInput {
  readonly bound: InputBound;
  readonly textTokens: number;
}

/** Says what a request may cost at most, at prices pinned now. */
@Injectable()
export class QuoterService {
  constructor(private readonly prices: PriceVersions) {}

  /**
   * The quote for every target that may be tried. Takes microseconds: text is bounded by its bytes, and counted
   * (`refine`) only when that bound is what the money falls short of.
   */
  quote(plan: RoutePlan, request: ChatRequest, stream: boolean): HoldQuote {
    for (const target of plan.targets) this.prices.remember(toQuoteTarget(target), target.price);
    const inputs = plan.targets.map((target): TargetInput => {
      const bound = boundInput(request, target.upstreamModel, target.contextWindow);
      return { bound, textTokens: bound.textBytes };
    });
    return { ...build(plan, request, stream, inputs), refine: () => refine(plan, request, stream, inputs) };
  }

  /** The input's bound without any model in mind, tokens: its bytes, and the vendors' formulas for what is not text. */
  inputTokensBound(request: ChatRequest): number {
    return totalTokens(boundInput(request, '', UNKNOWN_DOCUMENT_TOKENS), Number.MAX_SAFE_INTEGER);
  }
}

function toQuoteTarget(target: PlannedTarget): QuoteTarget {
  return {
    provider: target.provider,
    upstreamModel: target.upstreamModel,
    priceVersion: target.priceVersion,
  };
}

function build(
  plan: RoutePlan,
  request: ChatRequest,
  stream: boolean,
  inputs: readonly TargetInput[],
): HoldQuote {
  const usages = plan.targets.map((target, index) => usageBound(request, target, inputs[index]));
  const bounds = plan.targets.map((target, index): TargetBound => ({
    target: toQuoteTarget(target),
    worst: worstCase(target.price, usages[index] ?? usageBound(request, target, inputs[index])),
    maxOutputTokens: target.maxOutputTokens,
  }));
  return {
    model: plan.model.id,
    inputTokensBound: Math.max(0, ...usages.map((usage) => usage.inputTokens)),
    requestedMaxOutputTokens: requestedMaxOutputTokens(request),
    modelMaxOutputTokens: Math.max(0, ...plan.targets.map((target) => target.maxOutputTokens)),
    choices: Math.max(1, request.n ?? 1),
    targets: bounds.map((bound) => bound.target),
    bounds,
    stream,
    sliceable: stream && !plan.targets.some((target) => writesUnseen(target, request)),
  };
}

/**
 * Reasoning is billed as output and mostly not shown while it is written, so a stream that reasons may have used up any
 * slice before a single token is seen: its whole worst case is held.
 */
function writesUnseen(target: PlannedTarget, request: ChatRequest): boolean {
  return target.capabilities.reasoning || request.reasoning_effort != null;
}

async function refine(
  plan: RoutePlan,
  request: ChatRequest,
  stream: boolean,
  inputs: readonly TargetInput[],
): Promise<HoldQuote> {
  const counted = await Promise.all(
    inputs.map(async ({ bound, textTokens }, index): Promise<TargetInput> => {
      const count = await countTextBound(request, plan.targets[index]?.upstreamModel ?? '');
      return { bound, textTokens: Math.min(textTokens, count ?? textTokens) };
    }),
  );
  return build(plan, request, stream, counted);
}

function usageBound(request: ChatRequest, target: PlannedTarget, input: TargetInput | undefined): UsageBound {
  if (!input) throw new Error('every target has its input');
  const inputTokens = totalTokens(input.bound, target.contextWindow, input.textTokens);
  return {
    inputTokens,
    audioInputTokens: Math.min(inputTokens, input.bound.audioTokens),
    imageInputTokens: Math.min(inputTokens, input.bound.imageTokens),
    longCacheWrites: asksForLongCache(request),
    audioOutput: Array.isArray(request['modalities']) && request['modalities'].includes('audio'),
    serverToolCalls: serverToolCallBounds(request),
  };
}

/** `cache_control: { ttl: "1h" }` may stand on any part, message or tool. */
function asksForLongCache(request: ChatRequest): boolean {
  if (!mentions(request, 'cache_control')) return false;
  return JSON.stringify([request.messages, request.tools]).includes('"ttl":"1h"');
}

function mentions(request: ChatRequest, key: string): boolean {
  return (
    key in request ||
    request.tools?.some((tool) => key in tool) === true ||
    request.messages.some(
      (message) =>
        key in message || (Array.isArray(message.content) && message.content.some((part) => key in part)),
    )
  );
}
