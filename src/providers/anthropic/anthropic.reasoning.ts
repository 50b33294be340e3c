import type { ChatRequest } from '@app/contracts';
import type { Effort, ModelTraits } from './anthropic.traits.js';
import type { UnsupportedParams } from '../translation/unsupported-params.js';
import type { JsonObject } from './anthropic.wire.js';

export interface Reasoning {
  thinking?: JsonObject;
  effort?: Effort;
}

interface ReasoningLimits {
  readonly maxTokens: number;
  readonly forcesTool: boolean;
  /** The current turn has called tools without thinking first. */
  readonly inThoughtlessTurn: boolean;
}

/** The smallest budget that Anthropic accepts. */
const MIN_BUDGET_TOKENS = 1024;
/** The share of the output limit that thinking may take: `budget_tokens` must stay below `max_tokens`. */
const THINKING_SHARE = 0.75;

const BUDGET_TOKENS: Readonly<Record<string, number>> = Object.freeze({
  minimal: 1024,
  low: 1024,
  medium: 8192,
  high: 24_576,
  xhigh: 32_768,
  max: 49_152,
});

const EFFORTS: Readonly<Record<string, Effort>> = Object.freeze({
  minimal: 'low',
  low: 'low',
  medium: 'medium',
  high: 'high',
  xhigh: 'xhigh',
  max: 'max',
});

const PARAM = 'reasoning_effort';

/**
 * `reasoning_effort` -> thinking with a budget (models up to generation 4.5), or effort with adaptive thinking.
 * A client that asks for an effort also gets the text of the thinking, which newer models omit unless told otherwise.
 * A `thinking` object from the client takes precedence, because it is more exact, and is passed on unchanged.
 */
export function toReasoning(
  request: ChatRequest,
  traits: ModelTraits,
  limits: ReasoningLimits,
  unsupported: UnsupportedParams,
): Reasoning {
  const level = request.reasoning_effort;
  if (level === undefined || level === null) return {};
  if (level !== 'none' && !Object.hasOwn(EFFORTS, level)) {
    unsupported.refuse(PARAM, 'must be none, minimal, low, medium, high, xhigh or max');
    return {};
  }
  if (request.thinking !== undefined && request.thinking !== null) return effortAlone(level, traits);
  if (level === 'none') return thinkingOff(traits, unsupported);
  if (traits.thinking === 'budget') return withBudget(level, limits, unsupported);
  return traits.thinking === 'adaptive'
    ? adaptive(level, traits, limits, unsupported)
    : notPossible('is not supported by this model, which does not reason', unsupported);
}

function effortAlone(level: string, traits: ModelTraits): Reasoning {
  const effort = EFFORTS[level];
  return effort && traits.efforts.includes(effort) ? { effort } : {};
}

function thinkingOff(traits: ModelTraits, unsupported: UnsupportedParams): Reasoning {
  if (traits.thinkingOff === 'silence') return {};
  if (traits.thinkingOff !== 'impossible') return { thinking: { type: traits.thinkingOff } };
  return notPossible('cannot be "none": this model always reasons', unsupported);
}

function withBudget(level: string, limits: ReasoningLimits, unsupported: UnsupportedParams): Reasoning {
  if (limits.forcesTool)
    return notPossible('cannot be combined with a forced tool on this model', unsupported);
  // Thinking cannot begin in the middle of such a turn: Anthropic turns it off by itself, as documented, or answers 400. Most
  // clients of the OpenAI form do not send thinking back.
  if (limits.inThoughtlessTurn) return {};
  const room = Math.floor(limits.maxTokens * THINKING_SHARE);
  if (room < MIN_BUDGET_TOKENS) {
    const least = Math.ceil(MIN_BUDGET_TOKENS / THINKING_SHARE);
    return notPossible(`needs an output limit of at least ${least} tokens on this model`, unsupported);
  }
  const budget = Math.min(BUDGET_TOKENS[level] ?? MIN_BUDGET_TOKENS, room);
  return { thinking: { type: 'enabled', budget_tokens: budget } };
}

function adaptive(
  level: string,
  traits: ModelTraits,
  limits: ReasoningLimits,
  unsupported: UnsupportedParams,
): Reasoning {
  const { effort } = effortAlone(level, traits);
  if (!effort) return notPossible(`must be one of ${traits.efforts.join(', ')} for this model`, unsupported);
  // Where thinking is off by default, it has to be switched on. A forced tool rules it out there, but the effort still counts.
  const isOff = traits.thinkingOff === 'silence';
  if (isOff && limits.forcesTool) return { effort };
  const display = traits.hidesThoughts ? { display: 'summarized' } : {};
  return isOff || traits.hidesThoughts ? { thinking: { type: 'adaptive', ...display }, effort } : { effort };
}

function notPossible(reason: string, unsupported: UnsupportedParams): Reasoning {
  unsupported.refuse(PARAM, reason);
  return {};
}
