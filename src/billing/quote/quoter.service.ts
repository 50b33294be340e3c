import { type ChatRequest, GatewayError, requestedMaxOutputTokens } from '@app/contracts';
import { type UsageBound, worstCase } from '@app/money';
import { Inject, Injectable } from '@nestjs/common';
import { APP_CONFIG, type AppConfig } from '../../config/app-config.js';
import type { PlannedTarget, RoutePlan } from '../../routing/route-plan.js';
import type { HoldQuote, QuoteTarget, TargetBound } from '../billing-session.js';
import { PriceVersions } from '../prices/price-versions.service.js';
import { TextCount } from './count-text.js';
import { boundInput, type InputBound, totalTokens } from './input-bound.js';
import { asksForLongCache } from './long-cache.js';
import {
  billedTokens,
  largestCall,
  openAiLimit,
  SEARCH_FIELD,
  type ServerToolUse,
  serverToolUse,
} from './server-tools.js';

/** A document that is only referred to, when no model is chosen yet. */
const UNKNOWN_DOCUMENT_TOKENS = 50_000;

/** A target's input: what is in it, and its text counted (or bounded by its bytes). */
interface TargetInput {
  readonly bound: InputBound;
  readonly textTokens: number;
}

/** Says what a request may cost at most, at prices pinned now. */
@Injectable()
export class QuoterService {
  constructor(
    private readonly prices: PriceVersions,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {}

  /**
   * The plan without the targets whose vendor would bill something that has no price there: searches, pictures, containers.
   *
   * @throws GatewayError  `unsupported_parameter` when none is left
   */
  priced(plan: RoutePlan, request: ChatRequest): RoutePlan {
    if (!this.config.billing.enabled) return plan;
    const use = serverToolUse(request);
    const isPriced = (target: PlannedTarget): boolean => unpriced(target, use) === undefined;
    if (plan.targets.every(isPriced)) return plan;
    const targets = plan.targets.filter(isPriced);
    if (targets.length > 0) return { ...plan, targets };
    const searchless = plan.targets.filter((target) => isSearchless(target, use));
    if (searchless.length > 0) return { ...plan, targets: searchless };
    throw unpricedError(plan, use);
  }

  /**
   * The quote for every target that may be tried. Takes microseconds: text is bounded by its bytes, and counted
   * (`refine`) only when that bound is what the money falls short of.
   */
  quote(plan: RoutePlan, request: ChatRequest, stream: boolean): HoldQuote {
    for (const target of plan.targets) this.prices.remember(target, target.price);
    const inputs = plan.targets.map((target): TargetInput => {
      const bound = boundInput(request, target.upstreamModel, target.contextWindow);
      return { bound, textTokens: bound.textBytes };
    });
    return build(plan, request, stream, inputs, () => refine(plan, request, stream, inputs));
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
  refineLater?: () => Promise<HoldQuote>,
): HoldQuote {
  const wishes = wishesOf(request);
  let inputTokensBound = 0;
  let modelMaxOutputTokens = 0;
  let isSliceable = stream && request.reasoning_effort == null;
  const bounds = plan.targets.map((target, index): TargetBound => {
    const usage = usageBound(target, inputs[index], wishes);
    inputTokensBound = Math.max(inputTokensBound, usage.inputTokens);
    modelMaxOutputTokens = Math.max(modelMaxOutputTokens, target.maxOutputTokens);
    isSliceable &&= !target.capabilities.reasoning;
    return {
      target: toQuoteTarget(target),
      worst: worstCase(target.price, usage),
      maxOutputTokens: target.maxOutputTokens,
    };
  });
  return {
    model: plan.model.id,
    inputTokensBound,
    requestedMaxOutputTokens: requestedMaxOutputTokens(request),
    modelMaxOutputTokens,
    choices: Math.max(1, request.n ?? 1),
    targets: bounds.map(targetOf),
    bounds,
    stream,
    // Reasoning is billed as output and mostly not shown while it is written, so a stream that reasons may have used up
    // any slice before a single token is seen: its whole worst case is held.
    sliceable: isSliceable,
    refine: refineLater,
  };
}

function targetOf({ target }: TargetBound): QuoteTarget {
  return target;
}

async function refine(
  plan: RoutePlan,
  request: ChatRequest,
  stream: boolean,
  inputs: readonly TargetInput[],
): Promise<HoldQuote> {
  const text = new TextCount(request);
  const counted = await Promise.all(
    inputs.map(async ({ bound, textTokens }, index): Promise<TargetInput> => {
      const count = await text.bound(plan.targets[index]?.upstreamModel ?? '');
      return { bound, textTokens: Math.min(textTokens, count ?? textTokens) };
    }),
  );
  return build(plan, request, stream, counted);
}

/** The first thing in a request that the vendor would bill and the target has no price for; 0 is a price. */
function unpriced(
  { price, hasRequestPrice, searchField }: PlannedTarget,
  { billed }: ServerToolUse,
): string | undefined {
  for (const [tool, field] of billed) {
    if (Object.hasOwn(price.toolCallPico, tool)) continue;
    // A model that is asked to search by the field alone searches once a request.
    const isInRequest = searchField === 'passed' && hasRequestPrice && field === SEARCH_FIELD;
    if (!isInRequest) return tool;
  }
  return undefined;
}

/** All that lacks a price is a search, which the provider itself refuses or drops. */
function isSearchless({ searchField, price }: PlannedTarget, { billed }: ServerToolUse): boolean {
  if (searchField !== 'closed') return false;
  return [...billed].every(
    ([tool, field]) => field === SEARCH_FIELD || Object.hasOwn(price.toolCallPico, tool),
  );
}

function unpricedError({ model, targets: [target] }: RoutePlan, use: ServerToolUse): GatewayError {
  const missing = target && unpriced(target, use);
  return new GatewayError('unsupported_parameter', `${model.id} has no price for calls of ${missing}.`, {
    param: use.billed.get(missing ?? ''),
  });
}

/** What a request asks for that has a price of its own, at whatever target. */
interface Wishes extends Pick<UsageBound, 'longCacheWrites' | 'audioOutput'> {
  readonly serverTools: ServerToolUse;
  readonly serverToolsAtOpenAi: ServerToolUse;
}

function wishesOf(request: ChatRequest): Wishes {
  const serverTools = serverToolUse(request);
  const limit = openAiLimit(request);
  return {
    longCacheWrites: asksForLongCache(request),
    audioOutput: ASKS_FOR_SOUND.some(
      (field) => request[field] != null && /"audio"/i.test(JSON.stringify(request[field])),
    ),
    serverTools,
    serverToolsAtOpenAi: limit === undefined ? serverTools : serverToolUse(request, limit),
  };
}

/** OpenAI's field, and where Google's may stand; some write it in capitals. */
const ASKS_FOR_SOUND = [
  'modalities',
  'responseModalities',
  'response_modalities',
  'generationConfig',
  'generation_config',
  'extra_body',
] as const;

function usageBound(target: PlannedTarget, input: TargetInput | undefined, wishes: Wishes): UsageBound {
  if (!input) throw new Error('every target has its input');
  const { serverTools: unlimited, serverToolsAtOpenAi, ...others } = wishes;
  const serverTools = target.provider === 'openai' ? serverToolsAtOpenAi : unlimited;
  const ownTokens = totalTokens(input.bound, target.contextWindow, input.textTokens);
  const inputTokens = billedTokens(ownTokens, serverTools, target.contextWindow);
  return {
    ...others,
    inputTokens,
    largestCallTokens: largestCall(ownTokens, serverTools, target.contextWindow),
    audioInputTokens: Math.min(inputTokens, input.bound.audioTokens * serverTools.turns),
    imageInputTokens: Math.min(inputTokens, input.bound.imageTokens * serverTools.turns),
    serverToolCalls: target.billsSearchesOnce ? searchedOnce(serverTools.calls) : serverTools.calls,
  };
}

function searchedOnce(calls: ServerToolUse['calls']): ServerToolUse['calls'] {
  return 'web_search' in calls ? { ...calls, web_search: 1 } : calls;
}
