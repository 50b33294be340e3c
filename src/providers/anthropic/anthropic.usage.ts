import type { Usage } from '@app/contracts';
import {
  isObject,
  isServerCall,
  isServerResult,
  type JsonObject,
  objects,
  textOf,
  type WireBlock,
} from './anthropic.wire.js';

/** More tokens than any call can have. A larger count is an error and is not billed. */
const MAX_TOKENS = 1_000_000_000;

export interface AnthropicUsage {
  /** The call itself, as the client sees it. */
  readonly shown: Usage;
  /** What Anthropic charges: the call itself and its side calls (compaction, advisor). */
  readonly billed: Usage;
}

/**
 * Anthropic's usage block -> ours.
 *
 * Anthropic's `input_tokens` excludes cached tokens; our `inputTokens` includes them. `iterations` lists the model calls behind an
 * answer. The totals include those of type `message`, and `fallback_message` where another model took over; the others are billed
 * in addition. (The tokens of an advisor are charged at the price of the requested model: the block names no other.)
 *
 * @param content  of the answer so far: it shows turns of the model that no count reports
 * @returns `undefined` if input or output was not reported. Details that were not reported, or are not counts, are left out:
 *          nothing defaults to 0
 * @see     https://platform.claude.com/docs/en/api/messages, read 2026-11-23
 */
export function toUsage(block: unknown, content: readonly WireBlock[] = []): AnthropicUsage | undefined {
  if (!isObject(block)) return undefined;
  const shown = oneCall(block, content);
  if (!shown) return undefined;
  const side = sideCalls(block).flatMap((iteration) => oneCall(iteration) ?? []);
  return { shown, billed: side.reduce(sum, shown) };
}

/**
 * The usage block of a stream so far. Counts are totals, not deltas: `message_delta` replaces the values of `message_start` field
 * by field. Only `message_start` has the cache lifetimes.
 */
export function mergeUsage(start: unknown, delta: unknown): JsonObject {
  const merged: JsonObject = isObject(start) ? { ...start } : {};
  for (const [name, value] of Object.entries(isObject(delta) ? delta : {})) {
    const replacesCount = typeof merged[name] === 'number';
    if (value !== null && value !== undefined && !isBadCount(value, replacesCount)) merged[name] = value;
  }
  return merged;
}

/** Text has at least this many bytes per token, on average. */
const BYTES_PER_TOKEN = 4;

/**
 * An estimate of what a stream used since its last usage report: results of server tools, which the model has read and whose
 * searches are billed one by one, and thinking whose text is withheld. As running sums: there may be hundreds of long results.
 */
export class UnreportedUsage {
  #bytes = 0;
  #searches = 0;
  #thoughtTokens = 0;

  /** @param block  complete: a result when it starts, thinking when it ends */
  add(block: WireBlock): void {
    if (block.type === 'thinking') this.#thoughtTokens += hiddenTokens(block);
    if (!isServerResult(block)) return;
    this.#bytes += bytesOf(block.content);
    // A failed search has an error instead of a list of pages, and is not billed.
    if (block.type === SEARCHED && Array.isArray(block.content)) this.#searches += 1;
  }

  addedTo(usage: Usage): Usage {
    return {
      ...usage,
      inputTokens: usage.inputTokens + Math.floor(this.#bytes / BYTES_PER_TOKEN),
      outputTokens: usage.outputTokens + this.#thoughtTokens,
      ...(this.#searches > 0 && {
        serverToolCalls: { ...usage.serverToolCalls, web_search: this.#searches },
      }),
    };
  }
}

/** The most characters of a signature (base64) that do not encode the thinking. Counted over recorded traffic. */
const SIGNATURE_FRAME = 320;
const SIGNATURE_PER_TOKEN = (BYTES_PER_TOKEN * 4) / 3;

/** Estimated tokens of thinking whose text is withheld. Thinking with a text is counted by its text. */
function hiddenTokens({ thinking, signature }: WireBlock): number {
  if (thinking !== '') return 0;
  return Math.floor(Math.max(0, textOf(signature).length - SIGNATURE_FRAME) / SIGNATURE_PER_TOKEN);
}

const SEARCHED = 'web_search_tool_result';

/** A binary document counts nothing: its tokens do not follow from its bytes. */
function bytesOf(found: unknown): number {
  const document = isObject(found) && isObject(found.content) ? found.content : {};
  const isBinary = isObject(document.source) && document.source.type === 'base64';
  return isBinary ? 0 : (JSON.stringify(found) ?? '').length;
}

/** Calls that are included in the totals. */
const OWN_CALLS = new Set<unknown>(['message', 'fallback_message']);

/** Calls that the totals do not include. */
export function sideCalls(block: JsonObject): JsonObject[] {
  return objects(block.iterations).filter((iteration) => !OWN_CALLS.has(iteration.type));
}

function oneCall(block: JsonObject, content: readonly WireBlock[] = []): Usage | undefined {
  const fresh = count(block.input_tokens);
  const outputTokens = count(block.output_tokens);
  if (fresh === undefined || outputTokens === undefined) return undefined;
  const cacheRead = count(block.cache_read_input_tokens);
  const cacheCreation = count(block.cache_creation_input_tokens);
  const serverToolCalls = toolCalls(block.server_tool_use);
  return withoutUndefined({
    inputTokens: fresh + (cacheRead ?? 0) + (cacheCreation ?? 0),
    cacheReadInputTokens: cacheRead,
    cacheCreationInputTokens: cacheCreation,
    cacheCreation1hInputTokens: atMost(
      part(block.cache_creation, 'ephemeral_1h_input_tokens'),
      cacheCreation,
    ),
    outputTokens,
    reasoningOutputTokens: atMost(part(block.output_tokens_details, 'thinking_tokens'), outputTokens),
    serverToolCalls,
    modelCalls: callsOf(block, content, serverToolCalls),
  });
}

/** The model is called again with each result of its tools. `undefined` = once, as far as block and content show. */
function callsOf(
  block: JsonObject,
  content: readonly WireBlock[],
  tools: Usage['serverToolCalls'],
): number | undefined {
  const listed = objects(block.iterations).filter(({ type }) => OWN_CALLS.has(type)).length;
  const counted = (): number => Object.values(tools ?? {}).reduce((sum, each) => sum + each, 0);
  const calls = listed || 1 + (turnsOf(content) || counted());
  return calls > 1 ? calls : undefined;
}

/** Turns that called server tools. Calls in a row belong to one turn, as no result came between them. */
function turnsOf(content: readonly WireBlock[]): number {
  return content.filter((block, at) => isCall(block) && !isCall(content[at - 1])).length;
}

/** A call made by code that the model runs is not a turn of the model. */
function isCall(block: WireBlock | undefined): boolean {
  if (!block || !isServerCall(block)) return false;
  return !isObject(block.caller) || block.caller.type === 'direct';
}

function part(block: unknown, name: string): number | undefined {
  return isObject(block) ? count(block[name]) : undefined;
}

/** A part that is larger than the whole is wrong, and left out. */
function atMost(value: number | undefined, whole: number | undefined): number | undefined {
  return value !== undefined && whole !== undefined && value <= whole ? value : undefined;
}

function count(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= MAX_TOKENS
    ? value
    : undefined;
}

function isBadCount(value: unknown, replacesCount: boolean): boolean {
  return (replacesCount || typeof value === 'number') && count(value) === undefined;
}

const REQUESTS = '_requests';

/** `{ web_search_requests: 2 }` -> `{ web_search: 2 }` */
function toolCalls(block: unknown): Record<string, number> | undefined {
  if (!isObject(block)) return undefined;
  const calls = Object.entries(block).flatMap(([name, value]) => {
    const calls = count(value);
    return name.endsWith(REQUESTS) && calls !== undefined
      ? [[name.slice(0, -REQUESTS.length), calls] as const]
      : [];
  });
  return calls.length > 0 ? Object.fromEntries(calls) : undefined;
}

type PartialUsage = { [Name in keyof Usage]: Usage[Name] | undefined } & Pick<
  Usage,
  'inputTokens' | 'outputTokens'
>;

function withoutUndefined(usage: PartialUsage): Usage {
  const { inputTokens, outputTokens, ...parts } = usage;
  const reported = Object.entries(parts).filter(([, value]) => value !== undefined);
  return { inputTokens, outputTokens, ...Object.fromEntries(reported) };
}

function sum(total: Usage, other: Usage): Usage {
  return withoutUndefined({
    inputTokens: total.inputTokens + other.inputTokens,
    outputTokens: total.outputTokens + other.outputTokens,
    cacheReadInputTokens: added(total.cacheReadInputTokens, other.cacheReadInputTokens),
    cacheCreationInputTokens: added(total.cacheCreationInputTokens, other.cacheCreationInputTokens),
    cacheCreation1hInputTokens: added(total.cacheCreation1hInputTokens, other.cacheCreation1hInputTokens),
    reasoningOutputTokens: added(total.reasoningOutputTokens, other.reasoningOutputTokens),
    serverToolCalls: total.serverToolCalls,
    modelCalls: (total.modelCalls ?? 1) + (other.modelCalls ?? 1),
  });
}

function added(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined && b === undefined ? undefined : (a ?? 0) + (b ?? 0);
}
