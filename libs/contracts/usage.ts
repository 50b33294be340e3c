import type { CompletionUsage } from './chat-completion.js';

/**
 * What one provider call used, in one language. Tokens, integers >= 0.
 *
 * `inputTokens` counts everything that went in: cached reads, cache writes, audio and images are *parts* of it.
 * `outputTokens` counts everything that came out: reasoning and audio are parts of it.
 * A field that the vendor did not report is `undefined`, never 0: unknown is not zero.
 */
export interface Usage {
  inputTokens: number;
  cacheReadInputTokens?: number;
  /** All cache writes, whatever their lifetime. */
  cacheCreationInputTokens?: number;
  /** The part of `cacheCreationInputTokens` with the long lifetime: an hour at Anthropic, which prices it apart; twelve at OpenAI. */
  cacheCreation1hInputTokens?: number;
  audioInputTokens?: number;
  cacheReadAudioInputTokens?: number;
  imageInputTokens?: number;
  outputTokens: number;
  reasoningOutputTokens?: number;
  audioOutputTokens?: number;
  imageOutputTokens?: number;
  /** Server-side tool calls that the vendor bills apart, e.g. `{ web_search: 2 }`. */
  serverToolCalls?: Record<string, number>;
  /** Calls of the model that the counts are the sum of, as far as the answer shows it, where tools of the vendor's made it more than one. */
  modelCalls?: number;
}

/** Ours -> the usage block of an OpenAI answer. Details objects are present only when a part of them was reported. */
export function toCompletionUsage(usage: Usage): CompletionUsage {
  const block: CompletionUsage = {
    prompt_tokens: usage.inputTokens,
    completion_tokens: usage.outputTokens,
    total_tokens: usage.inputTokens + usage.outputTokens,
  };
  const prompt = withoutUndefined({
    cached_tokens: usage.cacheReadInputTokens,
    cache_write_tokens: usage.cacheCreationInputTokens,
    audio_tokens: usage.audioInputTokens,
    image_tokens: usage.imageInputTokens,
  });
  const completion = withoutUndefined({
    reasoning_tokens: usage.reasoningOutputTokens,
    audio_tokens: usage.audioOutputTokens,
    image_tokens: usage.imageOutputTokens,
  });
  if (prompt) block.prompt_tokens_details = prompt;
  if (completion) block.completion_tokens_details = completion;
  return block;
}

function withoutUndefined(fields: Record<string, number | undefined>): Record<string, number> | undefined {
  const reported = Object.entries(fields).filter(
    (entry): entry is [string, number] => entry[1] !== undefined,
  );
  return reported.length > 0 ? Object.fromEntries(reported) : undefined;
}
