import type { CompletionUsage, Usage } from '@app/contracts';
import { asObject, type WireObject } from './openai-compatible.wire.js';

/** More than any model reads or writes: a larger count is a fault of the server, and no bill. */
const MAX_TOKENS = 1_000_000_000;

/**
 * A usage block of OpenAI's dialect -> ours.
 *
 * Cached, cache-write, audio and image tokens are part of `prompt_tokens`, reasoning is part of `completion_tokens`. Some
 * servers count reasoning in `total_tokens` only (Gemini's endpoint, xAI): what that has beyond the two is output, too.
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
  if (addsUp(wire, usage)) return wire as unknown as CompletionUsage;
  const shown: CompletionUsage = {
    ...wire,
    prompt_tokens: usage.inputTokens,
    completion_tokens: usage.outputTokens,
    total_tokens: usage.inputTokens + usage.outputTokens,
  };
  if (hiddenTokens(wire, usage) !== undefined) showReasoning(shown, wire, usage);
  return shown;
}

function addsUp(wire: WireObject, { inputTokens, outputTokens }: Usage): boolean {
  return (
    wire.prompt_tokens === inputTokens &&
    wire.completion_tokens === outputTokens &&
    wire.total_tokens === inputTokens + outputTokens
  );
}

function outputOf(wire: WireObject, inputTokens: number): number | undefined {
  const reported = count(wire.completion_tokens);
  const total = count(wire.total_tokens);
  const beyondInput = total !== undefined && total >= inputTokens ? total - inputTokens : undefined;
  if (reported === undefined) return beyondInput;
  return beyondInput !== undefined && beyondInput > reported ? beyondInput : reported;
}

function withParts(usage: Usage, wire: WireObject): Usage {
  const { inputTokens, outputTokens } = usage;
  const prompt = asObject(wire.prompt_tokens_details);
  const completion = asObject(wire.completion_tokens_details);
  const cached = prompt?.cached_tokens ?? cachedElsewhere(wire);
  set(usage, 'cacheReadInputTokens', part(cached, inputTokens));
  // The last two are LiteLLM's and DashScope's names.
  const written =
    prompt?.cache_write_tokens ?? prompt?.cache_creation_tokens ?? prompt?.cache_creation_input_tokens;
  set(usage, 'cacheCreationInputTokens', part(written, inputTokens));
  const long = asObject(prompt?.cache_write_tokens_details)?.ttl_12h_tokens;
  set(usage, 'cacheCreation1hInputTokens', part(long, usage.cacheCreationInputTokens ?? 0));
  set(usage, 'audioInputTokens', part(prompt?.audio_tokens, inputTokens));
  set(usage, 'imageInputTokens', part(prompt?.image_tokens, inputTokens));
  const thought = completion?.reasoning_tokens ?? wire.reasoning_tokens;
  const reasoning = part(thought, outputTokens) ?? hiddenTokens(wire, usage);
  set(usage, 'reasoningOutputTokens', reasoning);
  set(usage, 'audioOutputTokens', part(completion?.audio_tokens, outputTokens));
  set(usage, 'imageOutputTokens', part(completion?.image_tokens, outputTokens));
  return usage;
}

/** DeepSeek, Moonshot and Mistral count cached tokens beside the totals. */
function cachedElsewhere(wire: WireObject): unknown {
  const beside = wire.prompt_cache_hit_tokens ?? wire.cached_tokens ?? wire.num_cached_tokens;
  return beside ?? asObject(wire.prompt_token_details)?.cached_tokens;
}

/** Output that only the total includes. */
function hiddenTokens(wire: WireObject, usage: Usage): number | undefined {
  const reported = count(wire.completion_tokens);
  return reported !== undefined && usage.outputTokens > reported ? usage.outputTokens - reported : undefined;
}

function showReasoning(shown: CompletionUsage, wire: WireObject, usage: Usage): void {
  const details = asObject(wire.completion_tokens_details);
  shown.completion_tokens_details = { ...details, reasoning_tokens: usage.reasoningOutputTokens ?? 0 };
}

/** A count that was not reported gets no key. */
function set(usage: Usage, name: TokenCount, tokens: number | undefined): void {
  if (tokens !== undefined) usage[name] = tokens;
}

type TokenCount = Exclude<keyof Usage, 'serverToolCalls'>;

function count(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= MAX_TOKENS
    ? value
    : undefined;
}

function part(value: unknown, whole: number): number | undefined {
  const tokens = count(value);
  return tokens !== undefined && tokens <= whole ? tokens : undefined;
}
