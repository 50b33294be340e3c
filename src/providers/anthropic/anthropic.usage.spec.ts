import { describe, expect, it } from 'vitest';
import { mergeUsage, toUsage } from './anthropic.usage.js';

describe('toUsage', () => {
  it('adds cached tokens to the input, and keeps the parts', () => {
    expect(
      toUsage({
        input_tokens: 10,
        cache_read_input_tokens: 20,
        cache_creation_input_tokens: 30,
        cache_creation: { ephemeral_5m_input_tokens: 25, ephemeral_1h_input_tokens: 5 },
        output_tokens: 40,
        output_tokens_details: { thinking_tokens: 15 },
        server_tool_use: { web_search_requests: 2, web_fetch_requests: 0 },
      })?.shown,
    ).toEqual({
      inputTokens: 60,
      cacheReadInputTokens: 20,
      cacheCreationInputTokens: 30,
      cacheCreation1hInputTokens: 5,
      outputTokens: 40,
      reasoningOutputTokens: 15,
      serverToolCalls: { web_search: 2, web_fetch: 0 },
      modelCalls: 3,
    });
  });

  it.each([
    ['a tool that is not counted', ['server_tool_use', 'tool_search_tool_result', 'text'], 2],
    ['an MCP server', ['mcp_tool_use', 'mcp_tool_result', 'thinking', 'mcp_tool_use', 'mcp_tool_result'], 3],
    [
      'calls of one turn',
      ['server_tool_use', 'server_tool_use', 'mcp_tool_use', 'mcp_tool_result', 'text'],
      2,
    ],
    ["the client's own", ['tool_use', 'tool_use'], undefined],
  ])('is the sum of the turns that the content shows: %s', (_what, types, calls) => {
    const content = types.map((type) => ({ type, name: 'x' }));
    expect(toUsage({ input_tokens: 1, output_tokens: 1 }, content)?.billed.modelCalls).toBe(calls);
  });

  it('takes no call of the code for a turn of the model, and no number of searches for one of turns', () => {
    const use = (caller: string) => ({
      type: 'server_tool_use',
      name: 'web_search',
      caller: { type: caller },
    });
    const result = { type: 'web_search_tool_result' };
    const byCode = use('code_execution_20260120');
    const counts = { input_tokens: 1, output_tokens: 1, server_tool_use: { web_search_requests: 3 } };
    const callsOf = (content: { type: string }[]) => toUsage(counts, content)?.billed.modelCalls;
    expect(callsOf([use('direct'), byCode, result, byCode, result, { type: 'text' }])).toBe(2);
    expect(callsOf([use('direct'), use('direct'), use('direct'), result, result, result])).toBe(2);
    expect(callsOf([use('direct'), result, use('direct'), result])).toBe(3);
  });

  it('does not know what was not reported', () => {
    expect(toUsage({ input_tokens: 1, output_tokens: 0, cache_read_input_tokens: null })).toEqual({
      shown: { inputTokens: 1, outputTokens: 0 },
      billed: { inputTokens: 1, outputTokens: 0 },
    });
    expect(toUsage(undefined)).toBeUndefined();
    expect(toUsage({ input_tokens: 1 })).toBeUndefined();
  });

  it.each([-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2e9, '7', null])('takes %s for no count', (bad) => {
    const good = { input_tokens: 1, output_tokens: 1 };
    expect(toUsage({ ...good, input_tokens: bad })).toBeUndefined();
    expect(toUsage({ ...good, output_tokens: bad })).toBeUndefined();
    expect(
      toUsage({ ...good, cache_read_input_tokens: bad, server_tool_use: { web_search_requests: bad } })
        ?.billed,
    ).toEqual({ inputTokens: 1, outputTokens: 1 });
  });

  it('drops a part that is larger than its whole', () => {
    const usage = { input_tokens: 1, output_tokens: 2, output_tokens_details: { thinking_tokens: 3 } };
    expect(toUsage(usage)?.shown).toEqual({ inputTokens: 1, outputTokens: 2 });
    const hour = { cache_creation_input_tokens: 9, cache_creation: { ephemeral_1h_input_tokens: 9 } };
    expect(toUsage({ ...usage, ...hour })?.billed).toMatchObject({ cacheCreation1hInputTokens: 9 });
  });

  it('bills the calls that the totals leave out', () => {
    const usage = toUsage({
      input_tokens: 100,
      output_tokens: 10,
      cache_read_input_tokens: 0,
      iterations: [
        { type: 'message', input_tokens: 60, output_tokens: 6 },
        {
          type: 'advisor_message',
          model: 'other',
          input_tokens: 500,
          output_tokens: 50,
          cache_read_input_tokens: 7,
        },
        { type: 'compaction', input_tokens: 1000, output_tokens: 20 },
        { type: 'fallback_message', model: 'other', input_tokens: 40, output_tokens: 4 },
      ],
    });
    expect(usage?.shown).toEqual({
      inputTokens: 100,
      outputTokens: 10,
      cacheReadInputTokens: 0,
      modelCalls: 2,
    });
    expect(usage?.billed).toEqual({
      inputTokens: 1607,
      outputTokens: 80,
      cacheReadInputTokens: 7,
      modelCalls: 4,
    });
  });
});

describe('mergeUsage', () => {
  it('replaces what is reported again, and nothing by a bad count', () => {
    const start = { input_tokens: 1, output_tokens: 1, cache_creation: { ephemeral_1h_input_tokens: 0 } };
    expect(mergeUsage(start, { input_tokens: null, output_tokens: 5, cache_read_input_tokens: -3 })).toEqual({
      ...start,
      output_tokens: 5,
    });
    expect(mergeUsage({ output_tokens: 5 }, { output_tokens: '9', input_tokens: 1e300 })).toEqual({
      output_tokens: 5,
    });
    expect(mergeUsage(undefined, undefined)).toEqual({});
  });
});
