import type { ChatRequest } from '@app/contracts';
import type { ClosedParam } from '../openai-compatible/closed-params.js';
import type { OpenAiDialect, OutputLimitField } from '../openai-compatible/openai-compatible.dialect.js';

const NONE: readonly ClosedParam[] = [];

/** OpenAI itself. */
export const OPENAI_DIALECT: OpenAiDialect = Object.freeze({
  providerName: 'openai',
  cancelStopsBilling: true,
  closedParams: () => NONE,
  outputLimitField,
  takesReasoningContent: false,
  reasoningName: 'reasoning_content',
  takesExtraContent: false,
  takesEmptyFields: true,
  takesDeveloperRole: true,
  stopsWithForcedTools: true,
  requestIdHeader: 'x-client-request-id',
  streamUsage: true,
});

/** The reasoning models refuse the older name; every chat model takes the newer one. */
function outputLimitField(request: ChatRequest, upstreamModel: string): OutputLimitField {
  const askedByOlderName =
    typeof request.max_tokens === 'number' && typeof request.max_completion_tokens !== 'number';
  return askedByOlderName && !isReasoningModel(upstreamModel) ? 'max_tokens' : 'max_completion_tokens';
}

/** The o series and everything from GPT-5 on, fine-tuned ones included. */
export function isReasoningModel(upstreamModel: string): boolean {
  return /^(ft:)?(o\d|gpt-([5-9]|\d{2,})|codex-)/.test(upstreamModel);
}
