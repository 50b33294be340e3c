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

/** More tokens than any call can have; a larger count is a fault, not a fact to bill. */
const MAX_TOKENS = 1_000_000_000;

export interface AnthropicUsage {
  /** The call itself, as the client sees it. */
  readonly shown: Usage;
  /** What Anthropic charges us for: the call, and the side calls that it made on its own (compaction, advisor). */
  readonly billed: Usage;
}

/**
 * Anthropic's usage block -> ours.
 *
 * Their `input_tokens` leaves cached tokens out; our `inputTokens` includes them. `iterations` lists the model calls
 * behind an answer: those of the type `message`, and `fallback_message` where another model took over, are in the totals;
 * the others are not and come on top of what is billed. (An advisor's tokens are then charged at the asked model's price:
 * the block does not carry another price.)
 *
 * @param content  of the answer, as far as it has come: it shows turns that no count tells of
 * @returns `undefined` when input or output was not reported; single parts that were not, or are no counts, are left
 *          out: nothing is defaulted to 0
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
 * The running block of a stream. Counts are totals, not deltas: what `message_delta` reports replaces what
 * `message_start` said, field by field; the cache lifetimes are only in the latter.
 */
export function mergeUsage(start: unknown, delta: unknown): JsonObject {
  const merged: JsonObject = isObject(start) ? { ...start } : {};
  for (const [name, value] of Object.entries(isObject(delta) ? delta : {})) {
    const replacesCount = typeof merged[name] === 'number';
    if (value !== null && value !== undefined && !isBadCount(value, replacesCount)) merged[name] = value;
  }
  return merged;
}

/** What is text has no fewer bytes to a token, on average. */
const BYTES_PER_TOKEN = 4;

/**
 * What a stream brought that has told only how it began: results of its server tools (the model has read them, and the searches are
 * billed each), and thoughts that it keeps back. Running sums: there may be hundreds of results, and each is long.
 */
export class Brought {
  #bytes = 0;
  #searches = 0;
  #thoughtTokens = 0;

  /** @param block  whole: a result is from its start, a thought at its end */
  add(block: WireBlock): void {
    if (block.type === 'thinking') this.#thoughtTokens += hiddenTokens(block);
    if (!isServerResult(block)) return;
    this.#bytes += bytesOf(block.content);
    // Instead of its pages one that failed has an error, and is not billed.
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

/** Of a signature, in characters, the most that is not the thought; it is in base64. Counted over recorded traffic. */
const SIGNATURE_FRAME = 320;
const SIGNATURE_PER_TOKEN = (BYTES_PER_TOKEN * 4) / 3;

/** Tokens of a thought whose text is kept back. What has one is counted by that. */
function hiddenTokens({ thinking, signature }: WireBlock): number {
  if (thinking !== '') return 0;
  return Math.floor(Math.max(0, textOf(signature).length - SIGNATURE_FRAME) / SIGNATURE_PER_TOKEN);
}

const SEARCHED = 'web_search_tool_result';

/** A document by value is not read byte by byte. */
function bytesOf(found: unknown): number {
  const document = isObject(found) && isObject(found.content) ? found.content : {};
  const isBinary = isObject(document.source) && document.source.type === 'base64';
  return isBinary ? 0 : (JSON.stringify(found) ?? '').length;
}

/** The answer's own calls: its totals have them. */
const OWN_CALLS = new Set<unknown>(['message', 'fallback_message']);

/** Calls that the answer's totals leave out. */
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

/** The model is called anew with what its tools brought. `undefined` = once, as far as the block and the content tell. */
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

/** Turns that called tools which Anthropic runs. Calls in a row are of one turn: no result came between them. */
function turnsOf(content: readonly WireBlock[]): number {
  return content.filter((block, at) => isCall(block) && !isCall(content[at - 1])).length;
}

/** What the code of another call calls is no turn of the model. */
function isCall(block: WireBlock | undefined): boolean {
  if (!block || !isServerCall(block)) return false;
  return !isObject(block.caller) || block.caller.type === 'direct';
}

function part(block: unknown, name: string): number | undefined {
  return isObject(block) ? count(block[name]) : undefined;
}

/** A part larger than its whole is no count of it. */
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
