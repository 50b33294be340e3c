import type { Usage } from '@app/contracts';
import { type JsonObject, objects, text } from './google.wire.js';

/**
 * Gemini's `usageMetadata` -> ours.
 *
 * `promptTokenCount` includes cached tokens, but not what server-side tools put into the prompt
 * (`toolUsePromptTokenCount`); `candidatesTokenCount` leaves thoughts out, `totalTokenCount` is the sum of all four
 * (where it is the sum without the thoughts, the candidates' count has them).
 * proto3 leaves out a count of zero: an absent count is taken from the total, else it is zero, as long as the
 * prompt's is known. In a stream every chunk has running totals: the last one wins.
 *
 * @param metadata         block as received; tokens
 * @param searches         searches with Google that are charged apart
 * @returns                `undefined` when neither the prompt's count nor a total was reported: unknown is not zero
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
  // Some versions of the API count thoughts among the candidates' tokens; then the total has no room for them beside.
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

/** A part is never reported as larger than what it is a part of, whatever the provider says. */
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

/** Tokens of one kind over `…TokensDetails` lists; `undefined` when none of them names it. */
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
