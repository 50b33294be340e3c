import type { ChatRequest } from '@app/contracts';
import { describe, expect, it } from 'vitest';
import { billedTokens, serverToolUse } from './server-tools.js';

const asking = (rest: object): ChatRequest => ({ model: 'm', messages: [], ...rest });
const tools = (...list: object[]) => asking({ tools: list });
const billed = (own: number, request: ChatRequest, window = 1_000_000) =>
  billedTokens(own, serverToolUse(request), window);

const SEARCH = { type: 'web_search_20250305', name: 'web_search' };
const FETCH = { type: 'web_fetch_20250910', name: 'web_fetch' };

describe('the calls of server tools', () => {
  it('are as many as a request allows, where the vendor takes the limit', () => {
    expect(serverToolUse(tools({ ...SEARCH, max_uses: 3 })).calls).toEqual({ web_search: 3 });
    expect(serverToolUse(tools({ ...FETCH, max_uses: 2 })).calls).toEqual({ web_fetch_20250910: 2 });
    for (const tool of [
      { type: 'google_search', max_uses: 1 },
      { type: 'web_search', max_uses: 1 },
      { googleSearch: {}, max_uses: 1 },
      { ...SEARCH, max_uses: 0 },
      { ...SEARCH, max_uses: '1' },
    ])
      expect(serverToolUse(tools(tool)).calls['web_search']).toBe(10);
    expect(serverToolUse(tools({ fileSearch: {} }, { codeExecution: {} })).calls).toEqual({
      file_search: 10,
      code_execution: 10,
    });
  });

  it('are none of tools that the client runs', () => {
    for (const tool of [
      { type: 'function', function: { name: 'web_search' } },
      { type: 'custom', custom: { name: 'c' } },
      { type: 'bash_20250124', name: 'bash' },
      { type: 'text_editor_20250728', name: 'edit' },
      { type: 'computer_use_preview' },
      { type: 'memory_20250818', name: 'memory' },
      { name: 'get', description: 'Anthropic’s form', input_schema: { type: 'object' }, cache_control: {} },
      { function: { name: 'untyped' }, strict: true },
      { functionDeclarations: [{ name: 'f' }] },
      { function_declarations: [{ name: 'f' }] },
    ])
      expect(serverToolUse(tools(tool))).toEqual(serverToolUse(asking({})));
  });
});

it('a tool is priced by its container, where that is larger than the smallest', () => {
  const prices = (container: unknown) => [
    ...serverToolUse(tools({ type: 'code_interpreter', container })).billed.keys(),
  ];
  expect(prices({ type: 'auto', memory_limit: '1g' })).toEqual(['code_execution']);
  expect(prices({ type: 'auto', memory_limit: '4g' })).toEqual(['code_execution with memory_limit']);
});

it('a vendor’s tool is one whatever of a function stands beside it', () => {
  expect(serverToolUse(tools({ type: 'url_context', input_schema: {} })).calls).toEqual({ url_context: 10 });
  expect(serverToolUse(tools({ name: 'f', input_schema: {}, googleSearch: {} })).calls).toEqual({
    web_search: 10,
  });
});

describe('the input that is billed', () => {
  it('is the request’s own without server tools', () => {
    expect(billed(2_000, asking({}))).toBe(2_000);
    expect(billed(2_000, tools({ type: 'function', function: { name: 'f' } }))).toBe(2_000);
  });

  // Of short requests, as Anthropic billed it in recorded traffic: all turns together.
  it.each([
    [1, 14_163],
    [2, 39_517],
  ])('holds what %i searches were billed for', (searches, tokens) => {
    const held = billed(300, tools({ ...SEARCH, max_uses: searches }));
    expect(held).toBeGreaterThan(tokens);
    expect(held).toBeLessThan(tokens * 2);
  });

  it('has the request again after each call, and what the calls before it brought', () => {
    expect(billed(1_000, tools({ ...SEARCH, max_uses: 1 }))).toBe(2 * 3_500 + 20_000);
    expect(billed(1_000, tools({ ...SEARCH, max_uses: 3 }))).toBe(4 * 3_500 + (1 + 2 + 3) * 20_000);
  });

  it('is ten turns and a window where nobody says how often, and never more', () => {
    expect(billed(1_000, tools(SEARCH))).toBe(10 * 3_500 + 1_000_000);
    expect(billed(1_000, tools(SEARCH), 200_000)).toBe(10 * 3_500 + 200_000);
    expect(billed(1_000, tools({ ...SEARCH, max_uses: 1_000_000 }), 200_000)).toBe(10 * 3_500 + 200_000);
    expect(billed(200_000, tools(SEARCH), 200_000)).toBe(10 * 200_000);
  });

  it('is no more than the vendor is told to do with all of its tools', () => {
    const search = { type: 'web_search' };
    const files = { type: 'file_search', vector_store_ids: ['v'] };
    const limited = (most: number, ...list: object[]) =>
      billedTokens(1_000, serverToolUse(tools(...list), most), 1_000_000);
    expect(serverToolUse(tools(search, files), 2).calls).toEqual({ web_search: 2, file_search: 2 });
    expect(limited(1, search)).toBe(2 * 3_500 + 20_000);
    expect(limited(1, search, files)).toBe(2 * 6_000 + 20_000);
    expect(limited(2, search)).toBe(3 * 3_500 + (1 + 2) * 20_000);
    expect(limited(50, search)).toBe(billed(1_000, tools(search)));
  });

  it('has as many turns as there may be where programs filter what was found', () => {
    const later = { type: 'web_search_20260209', name: 'web_search', max_uses: 1 };
    expect(billed(1_000, tools(later))).toBe(10 * 3_500 + 9 * 20_000);
  });

  it.each([
    ['a page', tools(FETCH)],
    ['one page', tools({ ...FETCH, max_uses: 1 })],
    ['Google’s pages', tools({ url_context: {} })],
    ['Google’s pages beside a search', tools({ googleSearch: {}, urlContext: {} })],
    ['an MCP server', asking({ mcp_servers: [{ type: 'url', url: 'https://x' }] })],
    ['OpenAI’s MCP', tools({ type: 'mcp', server_url: 'https://x' })],
    ['what nobody knows', tools({ type: 'deep_thought' })],
  ])('has room for whatever %s may bring', (_name, request) => {
    expect(billed(1_000, request, 200_000)).toBeGreaterThanOrEqual(2 * 3_500 + 200_000);
  });

  it('has room for no more of a page than Anthropic is told to read', () => {
    const short = { ...FETCH, max_uses: 1, max_content_tokens: 5_000 };
    expect(billed(1_000, tools(short))).toBe(2 * 3_500 + 5_000);
  });

  // Recorded: the prompt once, and 253 tokens at most for what was found.
  it('is little more with Google’s searches, which bring extracts into one turn', () => {
    for (const tool of [{ googleSearch: {} }, { type: 'google_search' }, { googleMaps: {} }])
      expect(billed(1_000, tools(tool))).toBe(2 * 3_500 + 10 * 1_000);
  });

  it('has nothing but the turns for a search among the request’s own tools', () => {
    expect(billed(1_000, tools({ type: 'tool_search_tool_bm25_20251119' }))).toBe(10 * 3_500);
  });

  it('is more than the request’s own for every tool that a vendor runs', () => {
    for (const request of [
      asking({ web_search_options: {} }),
      tools({ type: 'web_search' }),
      tools({ type: 'web_search_preview' }),
      tools({ type: 'file_search', vector_store_ids: ['v'] }),
      tools({ type: 'code_interpreter' }),
      tools({ type: 'code_execution_20250825' }),
      tools({ codeExecution: {} }),
      tools({ fileSearch: {} }),
    ])
      expect(billed(1_000, request)).toBe(10 * 3_500 + 1_000_000);
  });

  it('has the conversation once more where it is told in short first', () => {
    expect(billed(1_000, asking({ context_management: { edits: [{ type: 'compact_20260112' }] } }))).toBe(
      2_000,
    );
    expect(billed(1_000, asking({ context_management: { edits: [{ type: 'clear_tool_uses' }] } }))).toBe(
      1_000,
    );
    expect(billed(1_000, asking({ compaction: {} }))).toBe(2_000);
    expect(billed(1_000, asking({ mcp_servers: [] }))).toBe(1_000);
    const summarised = serverToolUse(asking({ compaction: {}, tools: [SEARCH] }));
    expect(summarised.turns).toBe(serverToolUse(tools(SEARCH)).turns + 1);
  });
});
