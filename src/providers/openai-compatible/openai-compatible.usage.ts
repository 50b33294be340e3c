import type { CompletionUsage, Usage } from '@app/contracts';
import { asObject, type WireObject } from './openai-compatible.wire.js';

/** No model takes or gives more: a larger count is a fault of the server, not a bill. */
const MAX_TOKENS = 1_000_000_000;

/**
 * A usage block of OpenAI's dialect -> ours.
 *
 * Cached, cache-write, audio and image tokens are inside `prompt_tokens`, reasoning inside `completion_tokens` (counted
 * over recorded traffic). Servers exist that leave reasoning out of `completion_tokens` and count it in `total_tokens`
 * only (Gemini's compatible endpoint, xAI): what `total_tokens` has beyond the two is output, too.
 *
 * @param block  as received
 * @returns      `undefined` when either total is missing or no count (not an integer, negative, beyond 1e9); a part
 *               that is no count, or larger than its whole, is left out. Nothing is defaulted to 0.
 */
export function readUsage(block: unknown): Usage | undefined {
  const wire = asObject(block);
  const inputTokens = count(wire?.prompt_tokens);
  const outputTokens = wire && inputTokens !== undefined ? outputOf(wire, inputTokens) : undefined;
  if (!wire || inputTokens === undefined || outputTokens === undefined) return undefined;
  return withParts({ inputTokens, outputTokens }, wire);
}

/** The block for the client: as received, except that the totals add up. `undefined` when it was no usage. */
export function completionUsage(block: unknown, usage: Usage | undefined): CompletionUsage | undefined {
  const wire = asObject(block);
  if (!wire || !usage) return undefined;
  return {
    ...wire,
    prompt_tokens: usage.inputTokens,
    completion_tokens: usage.outputTokens,
    total_tokens: usage.inputTokens + usage.outputTokens,
    ...hiddenReasoning(wire, usage),
  };
}

function outputOf(wire: WireObject, inputTokens: number): number | undefined {
  const reported = count(wire.completion_tokens);
  const total = count(wire.total_tokens);
  const beyondInput = total !== undefined && total >= inputTokens ? total - inputTokens : undefined;
  if (reported === undefined) return beyondInput;
  return beyondInput !== undefined && beyondInput > reported ? beyondInput : reported;
}

function withParts(usage: Usage, wire: WireObject): Usage {
  const prompt = asObject(wire.prompt_tokens_details) ?? {};
  const completion = asObject(wire.completion_tokens_details) ?? {};
  const input = (value: unknown) => part(value, usage.inputTokens);
  const output = (value: unknown) => part(value, usage.outputTokens);
  // DeepSeek and Moonshot count cached tokens beside the totals.
  const cached = prompt.cached_tokens ?? wire.prompt_cache_hit_tokens ?? wire.cached_tokens;
  return withoutUndefined(usage, {
    cacheReadInputTokens: input(cached),
    cacheCreationInputTokens: input(prompt.cache_write_tokens),
    audioInputTokens: input(prompt.audio_tokens),
    imageInputTokens: input(prompt.image_tokens),
    reasoningOutputTokens: output(completion.reasoning_tokens) ?? hiddenTokens(wire, usage),
    audioOutputTokens: output(completion.audio_tokens),
    imageOutputTokens: output(completion.image_tokens),
  });
}

/** Output that only the total knows of. */
function hiddenTokens(wire: WireObject, usage: Usage): number | undefined {
  const reported = count(wire.completion_tokens);
  return reported !== undefined && usage.outputTokens > reported ? usage.outputTokens - reported : undefined;
}

function hiddenReasoning(wire: WireObject, usage: Usage): Partial<CompletionUsage> {
  if (hiddenTokens(wire, usage) === undefined) return {};
  const details = asObject(wire.completion_tokens_details) ?? {};
  return { completion_tokens_details: { ...details, reasoning_tokens: usage.reasoningOutputTokens ?? 0 } };
}

/** Sets what was reported; what was not makes no key. */
function withoutUndefined(usage: Usage, parts: Partial<Record<keyof Usage, number | undefined>>): Usage {
  let part: keyof Usage;
  for (part in parts) if (parts[part] !== undefined) Object.assign(usage, { [part]: parts[part] });
  return usage;
}

function count(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= MAX_TOKENS
    ? value
    : undefined;
}

function part(value: unknown, whole: number): number | undefined {
  const tokens = count(value);
  return tokens !== undefined && tokens <= whole ? tokens : undefined;
}
