/** A level of `output_config.effort`. */
export type Effort = 'low' | 'medium' | 'high' | 'xhigh' | 'max';

/** What a generation of models accepts in a request. */
export interface ModelTraits {
  /** `budget`: `thinking.budget_tokens`. `adaptive`: the model decides, steered by effort. */
  readonly thinking: 'none' | 'budget' | 'adaptive';
  /** How a request says "do not think": without a `thinking` object, with one of this type, or not at all. */
  readonly thinkingOff: 'silence' | 'disabled' | 'between_tools' | 'impossible';
  /** The text of the thinking is sent only if the request asks for it (`thinking.display`). */
  readonly hidesThoughts: boolean;
  /** Empty if the model has no effort levels. */
  readonly efforts: readonly Effort[];
  /** `one`: temperature or top_p, but not both. `fixed`: only the default values. */
  readonly sampling: 'free' | 'one' | 'fixed';
  /** No tools, images and documents: the models before Claude 3. */
  readonly textOnly: boolean;
  /** `output_config.format` and strict tools. Without them, a schema goes into a tool (anthropic.answer-tool.ts). */
  readonly structuredOutputs: boolean;
  /** A request can force a tool call. */
  readonly forcedTools: boolean;
  /** Messages of the role `system` between the turns. */
  readonly systemTurns: boolean;
  /** Thinking is refused when it is sent back after different system text, tools or messages than it came after. */
  readonly bindsThoughts: boolean;
}

const BASE: ModelTraits = Object.freeze({
  thinking: 'none',
  thinkingOff: 'silence',
  hidesThoughts: false,
  efforts: [],
  sampling: 'free',
  textOnly: false,
  structuredOutputs: false,
  forcedTools: true,
  systemTurns: false,
  bindsThoughts: false,
});
const TEXT_ONLY: ModelTraits = { ...BASE, textOnly: true };
const BUDGET: ModelTraits = { ...BASE, thinking: 'budget' };
const BUDGET_ONE_SAMPLER: ModelTraits = { ...BUDGET, sampling: 'one', structuredOutputs: true };
const ADAPTIVE_4_6: ModelTraits = {
  ...BUDGET_ONE_SAMPLER,
  thinking: 'adaptive',
  efforts: ['low', 'medium', 'high', 'max'],
};
const ADAPTIVE_4_7: ModelTraits = {
  ...ADAPTIVE_4_6,
  hidesThoughts: true,
  efforts: ['low', 'medium', 'high', 'xhigh', 'max'],
  sampling: 'fixed',
};
/** Since generation 5, thinking is on unless the request turns it off. */
const ADAPTIVE_5: ModelTraits = { ...ADAPTIVE_4_7, thinkingOff: 'disabled', systemTurns: true };
const ALWAYS_THINKING: ModelTraits = { ...ADAPTIVE_5, thinkingOff: 'impossible' };
const ALWAYS_FREE: ModelTraits = { ...ALWAYS_THINKING, forcedTools: false, bindsThoughts: true };

/**
 * By prefix of the model's name, the more specific ones first.
 *
 * @see https://platform.claude.com/docs/en/build-with-claude/effort, …/extended-thinking, …/structured-outputs,
 *      …/mid-conversation-system-messages, …/api/migration-2026-10-21, all read 2026-11-23;
 *      …/models/opus-5-5/migration-guide (which holds for Fable 5.1 too), read 2026-11-29; …/models/fable-5-2/whats-new-fable-5-2,
 *      …/models/haiku-5-5/migration-guide, read 2026-11-30
 */
const GENERATIONS: readonly (readonly [prefix: string, traits: ModelTraits])[] = [
  ['claude-2', TEXT_ONLY],
  ['claude-instant', TEXT_ONLY],
  ['claude-3-7', BUDGET],
  ['claude-3', BASE],
  ['claude-sonnet-4-6', ADAPTIVE_4_6],
  ['claude-opus-4-6', ADAPTIVE_4_6],
  ['claude-opus-4-7', ADAPTIVE_4_7],
  ['claude-opus-4-8', { ...ADAPTIVE_4_7, systemTurns: true }],
  ['claude-opus-4-5', BUDGET_ONE_SAMPLER],
  ['claude-opus-4-1', BUDGET_ONE_SAMPLER],
  ['claude-sonnet-4-5', BUDGET_ONE_SAMPLER],
  ['claude-haiku-4-5', BUDGET_ONE_SAMPLER],
  ['claude-sonnet-4', BUDGET],
  ['claude-opus-4', BUDGET],
  [
    'claude-sonnet-5-5',
    { ...ADAPTIVE_5, thinkingOff: 'between_tools', forcedTools: false, bindsThoughts: true },
  ],
  // Documentation and SDKs disagree about system turns for this model; folding them into the user's turn is safe either way.
  ['claude-sonnet-5', { ...ADAPTIVE_5, systemTurns: false }],
  ['claude-opus-5-5', ALWAYS_FREE],
  ['claude-opus-5', ADAPTIVE_5],
  ['claude-haiku-5-5', { ...ADAPTIVE_5, bindsThoughts: true }],
  ['claude-haiku-5', ADAPTIVE_5],
  ['claude-fable-5-1', ALWAYS_FREE],
  ['claude-fable-5-2', ALWAYS_FREE],
  ['claude-fable', ALWAYS_THINKING],
  ['claude-mythos-5-1', ALWAYS_FREE],
  ['claude-mythos-5-2', ALWAYS_FREE],
  ['claude-mythos', ALWAYS_THINKING],
];

/** An unknown model is taken for a new one. Nothing is refused: Anthropic decides. */
const UNKNOWN: ModelTraits = {
  ...ADAPTIVE_5,
  hidesThoughts: false,
  sampling: 'free',
  systemTurns: false,
};

export function traitsOf(upstreamModel: string): ModelTraits {
  return GENERATIONS.find(([prefix]) => upstreamModel.startsWith(prefix))?.[1] ?? UNKNOWN;
}
