import type { ChatCompletion, ChatStreamEvent, Usage } from '@app/contracts';

/** Who gave the answer, and at which price: what a charge for a hit refers to. */
export interface CachedTarget {
  readonly provider: string;
  readonly upstreamModel: string;
  readonly priceVersion: string;
}

interface Cached {
  readonly target: CachedTarget;
  /** `undefined` when nobody knew. */
  readonly usage: Usage | undefined;
}

export interface CachedCompletion extends Cached {
  readonly kind: 'whole';
  readonly completion: ChatCompletion;
}

/** A stream to its end, event by event; given again as a stream. */
export interface CachedStream extends Cached {
  readonly kind: 'stream';
  readonly events: readonly ChatStreamEvent[];
}

export type CachedAnswer = CachedCompletion | CachedStream;

/** Changed with the form of what is stored: entries of another version are not found. */
export const CACHE_FORMAT = 1;

export function encodeAnswer(answer: CachedAnswer): string {
  return JSON.stringify(answer);
}

/** @returns `undefined` for what is not an answer of ours */
export function decodeAnswer(text: string): CachedAnswer | undefined {
  try {
    const answer: unknown = JSON.parse(text);
    return isCachedAnswer(answer) ? answer : undefined;
  } catch {
    return undefined;
  }
}

/** Looks at the frame only: nobody else writes under these keys. */
function isCachedAnswer(value: unknown): value is CachedAnswer {
  if (typeof value !== 'object' || value === null || !('kind' in value) || !('target' in value)) return false;
  return value.kind === 'whole' ? 'completion' in value : value.kind === 'stream' && 'events' in value;
}

const GOOD_ENDINGS: ReadonlySet<unknown> = new Set(['stop', 'tool_calls', 'function_call']);

/** Complete and as meant: not cut by a limit, not held back by a filter. */
export function isWorthKeeping(answer: CachedAnswer): boolean {
  if (answer.kind === 'whole') {
    const { choices } = answer.completion;
    return choices.length > 0 && choices.every((choice) => GOOD_ENDINGS.has(choice.finish_reason));
  }
  const endings = answer.events.flatMap(({ finishReason }) => finishReason ?? []);
  return endings.length > 0 && endings.every((ending) => GOOD_ENDINGS.has(ending));
}
