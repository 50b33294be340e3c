import type { ChatRequest } from '@app/contracts';
import { OLDER_SEARCH, usageToolName } from '@app/money';
import { asObject, type Fields } from './media-sum.js';

/** How often a vendor's own tool may be called in one answer when the request sets no limit. */
const CALLS_WITHOUT_LIMIT = 10;
/** Only Anthropic takes a limit for a tool, and only for these. */
const TAKES_LIMIT = /^web_(?:search|fetch)_\d/;

/** Vendors call the model again with what its tools brought, and bill the whole input each time: Anthropic at most ten times. */
const MOST_TURNS = 10;
/** Later versions filter what they found by programs, each of which is a turn. */
const TURNS_ARE_CALLS = /^web_(?:search|fetch)_2025/;
/** Google bills the request once, and extracts of what was found: at most 253 tokens in recorded traffic. */
const BRINGS_EXTRACTS = /^(?:google_?(?:search|maps)|enterprise_?web_?search)/i;
const TOKENS_PER_EXTRACT = 1_000;

/** The vendor's description of the tool: 2,200 for Anthropic's search in recorded traffic. */
const TOKENS_PER_TOOL = 2_500;
/** One call brought at most 14,000 in recorded traffic; OpenAI's file search brings 16,000 by default. */
const TOKENS_PER_CALL = 20_000;
/** Tools that bring no more than that. Others (pages, documents, answers of MCP servers) may fill the context. */
const BRINGS_LITTLE = /^(?:web_?search|file_?search|code_?(?:execution|interpreter))/i;
/** It finds tools among those in the request. */
const BRINGS_NOTHING = /^tool_search/;

/** Tools with a vendor's name that the client runs, and Gemini's own form of functions. */
const RUN_BY_CLIENT =
  /^(?:function|custom|namespace|bash|text_editor|computer|memory|local_shell|apply_patch)/i;

/** Anthropic's own form of functions mostly has no type. */
const KEYS_OF_FUNCTIONS: ReadonlySet<string> = new Set(
  'name description parameters input_schema input_examples strict cache_control defer_loading allowed_callers'.split(
    ' ',
  ),
);

const HAS_CONTAINER = /^code_?interpreter/i;
const IS_OLDER_SEARCH = /^web_?search_?preview/i;
/**
 * Tools that some vendor bills besides tokens: by the search, the picture, the container. OpenAI's file search is told from
 * Google's, which costs nothing, by its `vector_store_ids`.
 *
 * @see https://developers.openai.com/api/docs/pricing, https://ai.google.dev/gemini-api/docs/pricing (not opened: figures as others cited them in November 2026)
 */
const BILLED_BY_CALL =
  /^(?:web_?search|google_?(?:search|maps)|enterprise_?web_?search|image_?generation|code_?interpreter|shell)/i;

/** What the vendor's own tools add to the input that is billed. */
export interface ServerToolUse {
  /** Most calls in one answer, by name. */
  readonly calls: Readonly<Record<string, number>>;
  /** Those of them that must have a price, each with the field of the request that asks for it. */
  readonly billed: ReadonlyMap<string, 'tools' | typeof SEARCH_FIELD>;
  /** How often the input may be billed: 1 without such tools. */
  readonly turns: number;
  /** What the vendor adds to the input to describe the tools. */
  readonly toolTokens: number;
  /** What the calls bring in, tokens, counted in every later turn. Infinity: whatever there is room for. */
  readonly broughtTokens: number;
  /** The same, counted once. */
  readonly broughtAtOnce: number;
}

const NONE: ServerToolUse = {
  calls: {},
  billed: new Map(),
  turns: 1,
  toolTokens: 0,
  broughtTokens: 0,
  broughtAtOnce: 0,
};

/**
 * Functions of the client, and other tools that it runs itself, add nothing.
 *
 * @param most  calls of all tools together, where the vendor takes such a limit
 */
export function serverToolUse(request: ChatRequest, most = Infinity): ServerToolUse {
  const asked = askedTools(request);
  const summaries = isSummarised(request) ? 1 : 0;
  if (asked.length + summaries === 0) return NONE;
  const bounds = new Map<string, number>();
  const billed = new Map<string, 'tools' | typeof SEARCH_FIELD>();
  let turns = 1;
  let tokensPerCall = 0;
  let calls = 0;
  for (const [type, tool] of asked) {
    const limit = Math.min(most, callLimit(TAKES_LIMIT.test(type) ? tool['max_uses'] : undefined));
    const name = usageToolName(type);
    bounds.set(name, (bounds.get(name) ?? 0) + (HAS_CONTAINER.test(type) ? 1 : limit));
    for (const price of pricesOf(type, name, tool))
      billed.set(price, tool === NO_TOOL ? SEARCH_FIELD : 'tools');
    calls += limit;
    turns += turnsOf(type, limit);
    tokensPerCall = Math.max(tokensPerCall, tokensBrought(type, tool));
  }
  calls = Math.min(calls, most);
  turns = Math.min(turns, most + 1, MOST_TURNS);
  return {
    calls: Object.fromEntries(bounds),
    billed,
    turns: turns + summaries,
    toolTokens: asked.length * TOKENS_PER_TOOL,
    broughtTokens: tokensPerCall * timesRead(calls, turns - 1),
    broughtAtOnce: tokensPerCall * calls,
  };
}

/**
 * What is billed of an input of `ownTokens`: all of it in every turn, and what the calls bring up to one context window,
 * however often that is read. More than this would be a hold that nobody can pay.
 */
export function billedTokens(ownTokens: number, use: ServerToolUse, contextWindow: number): number {
  const { turns, toolTokens, broughtTokens } = use;
  const everyTurn = Math.min(contextWindow, ownTokens + toolTokens);
  return Math.min(turns * contextWindow, turns * everyTurn + Math.min(broughtTokens, contextWindow));
}

/** The most that one call of the model reads of it: the request, and all that was brought. */
export function largestCall(ownTokens: number, use: ServerToolUse, contextWindow: number): number {
  return Math.min(contextWindow, ownTokens + use.toolTokens + use.broughtAtOnce);
}

/** Asked for by a field of the request. */
const NO_TOOL: Fields = {};

export const SEARCH_FIELD = 'web_search_options';

/** What the tool has to have a price for. */
function pricesOf(type: string, name: string, tool: Fields): string[] {
  if (IS_OLDER_SEARCH.test(type)) return [name, OLDER_SEARCH];
  if (HAS_CONTAINER.test(type) && isLarger(tool)) return [`${name} with memory_limit`];
  return BILLED_BY_CALL.test(type) || 'vector_store_ids' in tool ? [name] : [];
}

/** OpenAI's containers have one gigabyte, or more for more money. */
function isLarger({ container }: Fields): boolean {
  const limit = asObject(container)?.['memory_limit'];
  return limit != null && limit !== '1g';
}

function askedTools(request: ChatRequest): (readonly [type: string, tool: Fields])[] {
  const asked: (readonly [string, Fields])[] = [];
  if (request[SEARCH_FIELD] != null) asked.push(['web_search', NO_TOOL]);
  const servers = request['mcp_servers'];
  if (servers != null && !(Array.isArray(servers) && servers.length === 0)) asked.push(['mcp', {}]);
  for (const tool of request.tools ?? []) {
    const named = tool.type as string | undefined;
    if (named === 'function') continue;
    // Gemini's own form has no type: its tools are named by their keys.
    const types = named ? [named] : Object.keys(tool).filter((key) => !KEYS_OF_FUNCTIONS.has(key));
    for (const type of types) if (!isRunByClient(type, tool)) asked.push([type, tool]);
  }
  return asked;
}

function isRunByClient(type: string, { environment }: Fields): boolean {
  // Without an environment it may be OpenAI's own.
  if (type === 'shell') return asObject(environment)?.['type'] === 'local';
  return RUN_BY_CLIENT.test(type);
}

/** Anthropic first has a long conversation summarised, by a call of its own. */
function isSummarised(request: ChatRequest): boolean {
  const management = request['context_management'];
  return request['compaction'] != null || (management != null && /"compact/.test(JSON.stringify(management)));
}

function turnsOf(type: string, limit: number): number {
  if (BRINGS_EXTRACTS.test(type)) return 1;
  return TURNS_ARE_CALLS.test(type) ? limit : MOST_TURNS;
}

/** How often what the calls brought is read in all later turns, the calls being spread over the turns. */
function timesRead(calls: number, laterTurns: number): number {
  return (calls * (2 * laterTurns - Math.min(calls, laterTurns) + 1)) / 2;
}

/** OpenAI's limit for all calls together. Other vendors refuse it, or it is dropped. */
export function openAiLimit(request: ChatRequest): number | undefined {
  const most = request['max_tool_calls'];
  return isCount(most) ? most : undefined;
}

/** No balance covers more, and a hold has to stay within the database's numbers. */
const MOST_CALLS = 1_000_000;

function callLimit(maxUses: unknown): number {
  return isCount(maxUses) ? Math.min(maxUses, MOST_CALLS) : CALLS_WITHOUT_LIMIT;
}

function tokensBrought(type: string, tool: Fields): number {
  if (BRINGS_NOTHING.test(type)) return 0;
  if (BRINGS_EXTRACTS.test(type)) return TOKENS_PER_EXTRACT;
  if (BRINGS_LITTLE.test(type)) return TOKENS_PER_CALL;
  // Anthropic cuts a page where the request says so.
  const limit = tool['max_content_tokens'];
  return TAKES_LIMIT.test(type) && isCount(limit) ? limit : Infinity;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0;
}
