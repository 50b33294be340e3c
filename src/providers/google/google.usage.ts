import type { Usage } from '@app/contracts';
import { type JsonObject, objects, text } from './google.wire.js';

/**
 * Gemini's `usageMetadata` -> ours.
 *
 * `promptTokenCount` includes cached tokens, but not what server-side tools add to the prompt (`toolUsePromptTokenCount`).
 * `candidatesTokenCount` excludes thoughts. `totalTokenCount` is the sum of all four; if it is the sum without the thoughts, the
 * candidates' count includes them.
 * proto3 omits zeros: a missing count is derived from the total, otherwise it is zero, provided that the prompt's count is known.
 * In a stream every chunk has running totals: the last one counts.
 *
 * @param metadata         block as received; tokens
 * @param searches         searches with Google that are charged separately
 * @returns                `undefined` if neither the prompt's count nor a total was reported: unknown is not zero
 */
export function toUsage(metadata: JsonObject | undefined, searches = 0): Usage | undefined {
  if (!metadata) return undefined;
  const counts = readCounts(metadata);
  if (counts.prompt === undefined) return undefined;
  const inputTokens = counts.prompt + counts.toolUse;
  const outputTokens = counts.candidates + counts.thoughts;
  return {
    inputTokens,
    ...inputParts(metadata, counts.prompt, inputTokens),
    outputTokens,
    ...(count(metadata.thoughtsTokenCount) === undefined ? {} : { reasoningOutputTokens: counts.thoughts }),
    ...outputParts(metadata, counts.candidates),
    ...(searches > 0 ? { serverToolCalls: { web_search: searches } } : {}),
  };
}

interface Counts {
  prompt: number | undefined;
  toolUse: number;
  candidates: number;
  thoughts: number;
}

function readCounts(metadata: JsonObject): Counts {
  const total = count(metadata.totalTokenCount);
  const toolUse = count(metadata.toolUsePromptTokenCount) ?? 0;
  const thoughts = count(metadata.thoughtsTokenCount) ?? 0;
  const reported = count(metadata.candidatesTokenCount);
  const prompt = count(metadata.promptTokenCount) ?? remainder(total, [toolUse, thoughts, reported ?? 0]);
  // Some versions of the API include thoughts in the candidates' count: then the total has no room for them in addition.
  const hasThoughts = reported !== undefined && total === (prompt ?? 0) + toolUse + reported;
  const candidates = hasThoughts
    ? Math.max(0, reported - thoughts)
    : (reported ?? remainder(total, [prompt ?? 0, toolUse, thoughts]) ?? 0);
  return { prompt, toolUse, candidates, thoughts };
}

function remainder(total: number | undefined, parts: readonly number[]): number | undefined {
  if (total === undefined) return undefined;
  return Math.max(
    0,
    parts.reduce((rest, part) => rest - part, total),
  );
}

/** A part is never larger than its whole, whatever the provider reports. */
function inputParts(metadata: JsonObject, promptTokens: number, inputTokens: number): Partial<Usage> {
  const cached = atMost(promptTokens, count(metadata.cachedContentTokenCount));
  const prompt = [metadata.promptTokensDetails, metadata.toolUsePromptTokensDetails];
  return reported({
    cacheReadInputTokens: cached,
    audioInputTokens: atMost(inputTokens, modality('AUDIO', prompt)),
    imageInputTokens: atMost(inputTokens, modality('IMAGE', prompt)),
    cacheReadAudioInputTokens: atMost(cached ?? 0, modality('AUDIO', [metadata.cacheTokensDetails])),
  });
}

function outputParts(metadata: JsonObject, candidateTokens: number): Partial<Usage> {
  const details = [metadata.candidatesTokensDetails];
  return reported({
    audioOutputTokens: atMost(candidateTokens, modality('AUDIO', details)),
    imageOutputTokens: atMost(candidateTokens, modality('IMAGE', details)),
  });
}

/** Tokens of one modality in `…TokensDetails` lists; `undefined` if none of them has it. */
function modality(name: string, details: readonly unknown[]): number | undefined {
  let sum: number | undefined;
  for (const list of details) {
    if (!Array.isArray(list)) continue;
    for (const entry of objects(list)) {
      if (text(entry.modality) === name) sum = (sum ?? 0) + (count(entry.tokenCount) ?? 0);
    }
  }
  return sum;
}

function count(value: unknown): number | undefined {
  return Number.isSafeInteger(value) && Number(value) >= 0 ? Number(value) : undefined;
}

function atMost(limit: number, tokens: number | undefined): number | undefined {
  return tokens === undefined ? undefined : Math.min(limit, tokens);
}

function reported(fields: Record<string, number | undefined>): Partial<Usage> {
  const known: Record<string, number> = {};
  for (const name in fields) {
    const tokens = fields[name];
    if (tokens !== undefined) known[name] = tokens;
  }
  return known;
}
