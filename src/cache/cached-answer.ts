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
  /** Request fields left out because the provider cannot honour them: whoever asks again is told, too. */
  readonly droppedParams?: readonly string[] | undefined;
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

/** Looks at what is needed to give it again and to charge for it: whoever can write to Redis can write anything there. */
function isCachedAnswer(value: unknown): value is CachedAnswer {
  if (!isRecord(value) || !hasTexts(value.target, 'provider', 'upstreamModel', 'priceVersion')) return false;
  if (value.usage !== undefined && !isUsage(value.usage)) return false;
  if (value.droppedParams !== undefined && !isTexts(value.droppedParams)) return false;
  if (value.kind === 'whole') return isRecord(value.completion) && Array.isArray(value.completion.choices);
  return value.kind === 'stream' && Array.isArray(value.events) && value.events.every(isEvent);
}

function isUsage(value: unknown): boolean {
  return isRecord(value) && isCount(value.inputTokens) && isCount(value.outputTokens);
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((text) => typeof text === 'string');
}

function isEvent(value: unknown): boolean {
  return hasTexts(value, 'json', 'outputText');
}

function hasTexts(value: unknown, ...names: readonly string[]): boolean {
  return isRecord(value) && names.every((name) => typeof value[name] === 'string');
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
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
