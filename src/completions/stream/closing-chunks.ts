import { chunksOf, toCompletionUsage, type Usage } from '@app/contracts';
import type { CompletionRun } from '../completion-run.js';

/** Ends a stream that is cut. @param json  one of the stream's chunks, or a run of them, whose envelope it gets */
export function lengthChunk(json: string, run: CompletionRun): string {
  const choices = [{ index: 0, delta: {}, finish_reason: 'length' }];
  return JSON.stringify({ ...envelopeOf(json, run), choices });
}

/** The usage charged for a stream that is cut, for a client that asked for it: the provider reported none. */
export function usageChunk(json: string, run: CompletionRun, usage: Usage): string {
  return JSON.stringify({ ...envelopeOf(json, run), choices: [], usage: toCompletionUsage(usage) });
}

function envelopeOf(json: string, run: CompletionRun): Record<string, unknown> {
  const chunk = JSON.parse(chunksOf(json).at(-1)!) as Record<string, unknown>;
  return {
    id: chunk.id ?? `chatcmpl-${run.context.billingId}`,
    object: 'chat.completion.chunk',
    created: chunk.created ?? Math.floor(run.startedAt.getTime() / 1000),
    model: run.request.model,
  };
}
