import type { FinishReason } from '@app/contracts';
import { badResponse } from './openai-compatible.errors.js';
import type { OpenAiDialect } from './openai-compatible.dialect.js';

/** Other servers' words for OpenAI's reasons. Any further word means that the model simply stopped. */
const REASONS: Readonly<Record<string, FinishReason>> = {
  stop: 'stop',
  length: 'length',
  tool_calls: 'tool_calls',
  content_filter: 'content_filter',
  function_call: 'function_call',
  tool_use: 'tool_calls',
  max_tokens: 'length',
  model_length: 'length',
  max_output_tokens: 'length',
  token_limit: 'length',
  time_limit: 'length',
  model_context_window_exceeded: 'length',
  safety: 'content_filter',
  refusal: 'content_filter',
  recitation: 'content_filter',
  sensitive: 'content_filter',
  blocklist: 'content_filter',
  prohibited_content: 'content_filter',
  spii: 'content_filter',
  language: 'content_filter',
  model_armor: 'content_filter',
  image_safety: 'content_filter',
  image_prohibited_content: 'content_filter',
  image_recitation: 'content_filter',
  guardrail_intervened: 'content_filter',
  content_filtered: 'content_filter',
  // Gemini's endpoint withholds an invalid call; as a `stop` without text nobody would notice.
  function_call_filter: 'content_filter',
  malformed_function_call: 'content_filter',
  unexpected_tool_call: 'content_filter',
  too_many_tool_calls: 'content_filter',
  malformed_response: 'content_filter',
};

/** The model had not finished: the server gave up. */
const FAILURES = new Set([
  'error',
  'insufficient_system_resource',
  'network_error',
  'abort',
  'cancelled',
  'canceled',
]);

/**
 * A server's finish reason -> OpenAI's. OpenAI says `stop` beside tool calls when the tool was *forced*; other servers say
 * `stop` for any call, and clients that look only at the reason would miss it.
 *
 * @throws ProviderError  when the reason says that the server failed
 */
export function finishReason(word: string, hasToolCalls: boolean, dialect: OpenAiDialect): FinishReason {
  // Gemini's endpoint adds details behind a colon: `content_filter: PROHIBITED_CONTENT`.
  const lower = (word.split(':', 1)[0] ?? word).trim().toLowerCase();
  if (FAILURES.has(lower)) throw badResponse(`The provider ended the answer with "${lower}".`);
  const reason = (Object.hasOwn(REASONS, lower) ? REASONS[lower] : undefined) ?? 'stop';
  return reason === 'stop' && hasToolCalls && !dialect.stopsWithForcedTools ? 'tool_calls' : reason;
}
