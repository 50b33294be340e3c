import {
  type AssistantMessage,
  type ChatCompletion,
  type CompletionUsage,
  type FinishReason,
  toCompletionUsage,
  type ToolCall,
} from '@app/contracts';
import { asText } from './anthropic.answer-tool.js';
import { needsRawContent, textOfBlocks } from './anthropic.raw-content.js';
import { toArguments, toolUseExtras } from './anthropic.tools.js';
import { type AnthropicUsage, sideCalls, toUsage } from './anthropic.usage.js';
import {
  isObject,
  isThinking,
  type JsonObject,
  textOf,
  type WireAnswer,
  type WireBlock,
  withoutEmpty,
} from './anthropic.wire.js';

/** What the translation of an answer has to know of its request. */
export interface AnswerContext {
  readonly clientModel: string;
  /** Unix seconds; Anthropic's answers have no time. */
  readonly created: number;
  /** The request used `functions`, so the answer uses `function_call`. */
  readonly legacyFunctions: boolean;
  /** The answer is the input of a tool call (anthropic.answer-tool.ts). */
  readonly answersByTool: boolean;
}

/** Anthropic's message -> OpenAI's `chat.completion`. */
export function toChatCompletion(answer: WireAnswer, context: AnswerContext): ChatCompletion {
  const { id, usage } = answer;
  const content = context.answersByTool ? asText(answer.content) : answer.content;
  const completion: ChatCompletion = {
    id,
    object: 'chat.completion',
    created: context.created,
    model: context.clientModel,
    choices: [
      {
        index: 0,
        message: toAssistantMessage(answer, content, context),
        logprobs: null,
        finish_reason: toFinishReason(answer.stop_reason, content, context),
      },
    ],
  };
  const counted = toUsage(usage, content);
  if (counted) completion.usage = shownUsage(counted, usage);
  const tier = isObject(usage) ? toServiceTier(usage.service_tier) : undefined;
  return tier === undefined ? completion : { ...completion, service_tier: tier };
}

function toAssistantMessage(
  answer: WireAnswer,
  content: readonly WireBlock[],
  context: AnswerContext,
): AssistantMessage {
  const text = textOfBlocks(content);
  const calls = content.filter((block) => block.type === 'tool_use').map(toToolCall);
  const message: AssistantMessage = {
    role: 'assistant',
    content: text === '' && calls.length > 0 ? null : text,
    refusal: refusalOf(answer, content) ?? null,
  };
  const reasoning = content
    .map((block) => (block.type === 'thinking' ? textOf(block.thinking) : ''))
    .join('');
  if (reasoning !== '') message.reasoning_content = reasoning;
  if (calls[0] && context.legacyFunctions) message.function_call = calls[0].function;
  else if (calls.length > 0) message.tool_calls = calls;
  const annotations = annotationsOf(content);
  if (annotations.length > 0) message.annotations = annotations;
  message.provider_specific_fields = closingFields(answer, content);
  return message;
}

function toToolCall(block: WireBlock): ToolCall {
  const extras = toolUseExtras(block);
  return {
    id: textOf(block.id),
    type: 'function',
    function: { name: textOf(block.name), arguments: toArguments(block.input) },
    ...(Object.keys(extras).length > 0 && { provider_specific_fields: extras }),
  };
}

/** Fields of a message that have a place in the OpenAI form. All others are kept unchanged. */
const TRANSLATED_FIELDS = new Set(['id', 'type', 'role', 'model', 'content', 'usage']);

/**
 * What belongs to the message as a whole and is known only at its end: `stop_reason`, `stop_sequence`, `stop_details`,
 * `container`, …, the thinking blocks, and all raw blocks where the OpenAI form cannot represent them.
 */
export function closingFields(fields: JsonObject, content: readonly WireBlock[]): JsonObject {
  const others = Object.fromEntries(Object.entries(fields).filter(([name]) => !TRANSLATED_FIELDS.has(name)));
  const thinking = content.filter(isThinking);
  return withoutEmpty({
    ...others,
    anthropic_content: needsRawContent(content) ? content : undefined,
    thinking_blocks: thinking.length > 0 ? thinking : undefined,
  });
}

const FINISH_REASONS: Readonly<Record<string, FinishReason>> = Object.freeze({
  end_turn: 'stop',
  stop_sequence: 'stop',
  max_tokens: 'length',
  // Anthropic's limit of calls to its own tools was reached: the answer is not complete.
  pause_turn: 'length',
  // The request asked for a pause after compaction.
  compaction: 'length',
  model_context_window_exceeded: 'length',
  tool_use: 'tool_calls',
  refusal: 'content_filter',
});

/** An unknown reason becomes `stop`; `provider_specific_fields.stop_reason` has the original. */
export function toFinishReason(
  stopReason: unknown,
  content: readonly WireBlock[],
  context: AnswerContext,
): FinishReason {
  const reason = textOf(stopReason);
  const finish = (Object.hasOwn(FINISH_REASONS, reason) ? FINISH_REASONS[reason] : undefined) ?? 'stop';
  if (finish !== 'tool_calls') return finish;
  if (!content.some((block) => block.type === 'tool_use')) return 'stop';
  return context.legacyFunctions ? 'function_call' : finish;
}

/** Why the model refused: Anthropic's explanation, or our own words if the answer would be empty without them. */
export function refusalOf(fields: JsonObject, content: readonly WireBlock[]): string | undefined {
  if (fields.stop_reason !== 'refusal') return undefined;
  const details = isObject(fields.stop_details) ? fields.stop_details : {};
  const explanation = textOf(details.explanation);
  if (explanation !== '' || textOfBlocks(content) !== '') return explanation || undefined;
  const category = textOf(details.category);
  return `Claude declined to answer${category && ` (${category})`}.`;
}

/** The client's usage block. If the answer had side calls, it lists the `iterations`. */
export function shownUsage(usage: AnthropicUsage, block: unknown): CompletionUsage {
  const shown = toCompletionUsage(usage.shown);
  if (!isObject(block) || sideCalls(block).length === 0) return shown;
  return { ...shown, iterations: block.iterations };
}

const SERVICE_TIERS: Readonly<Record<string, string>> = Object.freeze({ standard: 'default' });

/** OpenAI's name for the tier that served the call. */
export function toServiceTier(tier: unknown): string | undefined {
  if (typeof tier !== 'string') return undefined;
  return Object.hasOwn(SERVICE_TIERS, tier) ? SERVICE_TIERS[tier] : tier;
}

/** Web citations as OpenAI's annotations. Each spans the text block that it belongs to. */
export function annotationsOf(content: readonly WireBlock[]): JsonObject[] {
  let offset = 0;
  return content.flatMap((block) => {
    const start = offset;
    offset += block.type === 'text' ? textOf(block.text).length : 0;
    return blockAnnotations(block, start, offset);
  });
}

function blockAnnotations(block: WireBlock, start: number, end: number): JsonObject[] {
  if (block.type !== 'text' || !Array.isArray(block.citations)) return [];
  return block.citations
    .filter(isObject)
    .map((citation) => ({ title: textOf(citation.title), url: addressOf(citation) }))
    .filter(({ url }) => url !== '')
    .map(({ title, url }) => ({
      type: 'url_citation',
      url_citation: { start_index: start, end_index: end, title, url },
    }));
}

/** The URL of a web page, or of a search result from the client whose source is one. */
function addressOf({ url, source }: JsonObject): string {
  return textOf(url) || (/^https?:\/\//i.test(textOf(source)) ? textOf(source) : '');
}
