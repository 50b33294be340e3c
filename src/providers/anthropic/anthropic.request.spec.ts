import { type ChatRequest, GatewayError } from '@app/contracts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toAnthropicRequest } from './anthropic.request.js';
import type { WireRequest } from './anthropic.wire.js';

const MODEL = 'claude-sonnet-4-5-20250929';
const hello = { role: 'user', content: 'hello' } as const;

interface Options {
  model?: string;
  maxOutputTokens?: number;
  drop?: boolean;
}

function translate(
  fields: Partial<ChatRequest>,
  { model = MODEL, maxOutputTokens = 100, drop = false }: Options = {},
) {
  const request: ChatRequest = { model: 'asked', messages: [hello], ...fields };
  return toAnthropicRequest({ request, upstreamModel: model, maxOutputTokens, dropUnsupported: drop }, false);
}

function bodyOf(fields: Partial<ChatRequest>, options?: Options): WireRequest {
  return translate(fields, options).body;
}

function messagesOf(messages: ChatRequest['messages'], options?: Options) {
  const { system, messages: wire } = bodyOf({ messages }, options);
  return { system, messages: wire };
}

function refusal(fields: Partial<ChatRequest>, options?: Options): { code: string; param: string | null } {
  try {
    translate(fields, options);
  } catch (error) {
    if (error instanceof GatewayError) return { code: error.code, param: error.param };
    throw error;
  }
  throw new Error('was accepted');
}

describe('messages', () => {
  it('puts leading system and developer messages into system, in order, cache marks kept', () => {
    const cache = { type: 'ephemeral' };
    expect(
      messagesOf([
        { role: 'system', content: 'first' },
        { role: 'developer', content: [{ type: 'text', text: 'second', cache_control: cache }] },
        hello,
      ]),
    ).toEqual({
      system: [
        { type: 'text', text: 'first' },
        { type: 'text', text: 'second', cache_control: cache },
      ],
      messages: [{ role: 'user', content: [{ type: 'text', text: 'hello' }] }],
    });
  });

  const late: ChatRequest['messages'] = [
    hello,
    { role: 'assistant', content: 'hi' },
    { role: 'system', content: 'be brief' },
    { role: 'user', content: 'go on' },
  ];

  it('folds a later system message into the user’s turn, where the model has no system turns', () => {
    expect(messagesOf(late).messages.at(-1)).toEqual({
      role: 'user',
      content: [
        { type: 'text', text: '<system>\nbe brief\n</system>' },
        { type: 'text', text: 'go on' },
      ],
    });
  });

  it('lets it follow the user’s turn, where the model has them', () => {
    expect(messagesOf(late, { model: 'claude-opus-4-8' }).messages.slice(-2)).toEqual([
      { role: 'user', content: [{ type: 'text', text: 'go on' }] },
      { role: 'system', content: [{ type: 'text', text: 'be brief' }] },
    ]);
  });

  it.each([{ clear_at: 'next_user_message' }, { output_config: { effort: 'low' } }])(
    'refuses what Anthropic alone has beside a system message: %j',
    (fields) => {
      const messages = [hello, { role: 'system' as const, content: 'be brief', ...fields }];
      const [name] = Object.keys(fields);
      expect(refusal({ messages }, { model: 'claude-opus-5' })).toEqual({
        code: 'unsupported_parameter',
        param: `messages[1].${name}`,
      });
    },
  );

  it('adds and removes tools on the way, by reference alone: nobody holds money for one that only a message has', () => {
    const change = (type: string, tool: object) => ({
      role: 'system' as const,
      content: [{ type, tool }] as never,
    });
    const reference = { type: 'tool_reference', name: 'f' };
    const messages = [hello, change('tool_addition', reference)];
    const { body, betas } = translate({ messages }, { model: 'claude-opus-5' });
    expect(body.messages.at(-1)).toEqual({
      role: 'system',
      content: [{ type: 'tool_addition', tool: reference }],
    });
    expect(betas).toEqual(['mid-conversation-tool-changes-2026-07-01']);
    const definition = { type: 'tool_definition', definition: { type: 'web_search_20250305' } };
    expect(refusal({ messages: [hello, change('tool_addition', definition)] })).toEqual({
      code: 'unsupported_parameter',
      param: 'messages[1].content[0]',
    });
  });

  it('never lets a system turn stand behind an assistant’s', () => {
    const { messages } = messagesOf(late.slice(0, 3), { model: 'claude-opus-4-8' });
    expect(messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'user']);
  });

  it('gives the last system message to the user when there is nothing else', () => {
    expect(
      messagesOf([
        { role: 'system', content: 'a' },
        { role: 'system', content: 'b' },
      ]),
    ).toEqual({
      system: [{ type: 'text', text: 'a' }],
      messages: [{ role: 'user', content: [{ type: 'text', text: '<system>\nb\n</system>' }] }],
    });
  });

  it('merges neighbours of one side, and leaves out blank text', () => {
    const { messages } = messagesOf([
      hello,
      { role: 'assistant', content: ' \n' },
      {
        role: 'user',
        content: [
          { type: 'text', text: '' },
          { type: 'text', text: 'again' },
        ],
      },
    ]);
    expect(messages).toEqual([
      {
        role: 'user',
        content: [
          { type: 'text', text: 'hello' },
          { type: 'text', text: 'again' },
        ],
      },
    ]);
  });

  it('merges what the model said in two messages', () => {
    const said = (content: string) => ({ role: 'assistant' as const, content });
    expect(messagesOf([hello, said('a'), said('b'), hello]).messages[1]?.content).toEqual([
      { type: 'text', text: 'a' },
      { type: 'text', text: 'b' },
    ]);
  });

  it('refuses a conversation without any content', () => {
    expect(refusal({ messages: [{ role: 'user', content: ' ' }] })).toEqual({
      code: 'invalid_body',
      param: 'messages',
    });
  });

  it('keeps a prefill, without the white space at its end', () => {
    expect(messagesOf([hello, { role: 'assistant', content: 'The answer is \n' }]).messages).toEqual([
      { role: 'user', content: [{ type: 'text', text: 'hello' }] },
      { role: 'assistant', content: [{ type: 'text', text: 'The answer is' }] },
    ]);
  });

  it('writes a name before what its bearer says', () => {
    const image = { type: 'image_url', image_url: { url: 'https://example.org/a.png' } } as const;
    const { messages } = messagesOf([
      { role: 'user', name: 'ann', content: 'hello' },
      { role: 'user', name: 'bob', content: [image] },
    ]);
    expect(messages[0]?.content).toEqual([
      { type: 'text', text: 'ann: hello' },
      { type: 'text', text: 'bob:' },
      { type: 'image', source: { type: 'url', url: 'https://example.org/a.png' } },
    ]);
  });

  it('takes cache_control of a whole message for its last block', () => {
    const cache = { type: 'ephemeral', ttl: '1h' };
    expect(messagesOf([{ ...hello, cache_control: cache }]).messages[0]?.content).toEqual([
      { type: 'text', text: 'hello', cache_control: cache },
    ]);
  });

  it('sends a refusal back as text', () => {
    const { messages } = messagesOf([
      hello,
      { role: 'assistant', content: null, refusal: 'I will not.' },
      hello,
    ]);
    expect(messages[1]).toEqual({ role: 'assistant', content: [{ type: 'text', text: 'I will not.' }] });
  });
});

describe('tool turns', () => {
  const calls: ChatRequest['messages'] = [
    hello,
    {
      role: 'assistant',
      content: null,
      tool_calls: [
        { id: 'call:1', type: 'function', function: { name: 'f', arguments: '{"a":1}' } },
        { id: 'call_2', type: 'function', function: { name: 'g', arguments: '' } },
      ],
    },
    { role: 'user', content: 'and now?' },
    { role: 'tool', tool_call_id: 'call:1', content: '1' },
    { role: 'tool', tool_call_id: 'call_2', content: [{ type: 'text', text: 'two' }], is_error: true },
  ];

  it('makes one user message of all results, before its text', () => {
    const { messages } = messagesOf(calls);
    expect(messages.slice(1)).toEqual([
      {
        role: 'assistant',
        content: [
          { type: 'tool_use', id: 'call_1', name: 'f', input: { a: 1 } },
          { type: 'tool_use', id: 'call_2', name: 'g', input: {} },
        ],
      },
      {
        role: 'user',
        content: [
          { type: 'tool_result', tool_use_id: 'call_1', content: '1' },
          {
            type: 'tool_result',
            tool_use_id: 'call_2',
            content: [{ type: 'text', text: 'two' }],
            is_error: true,
          },
          { type: 'text', text: 'and now?' },
        ],
      },
    ]);
  });

  it('gives each call an id of its own, and each result to the first call that has none', () => {
    const call = (id: string, name: string) =>
      ({ id, type: 'function', function: { name, arguments: '{}' } }) as const;
    const result = (id: string, content: string) => ({ role: 'tool', tool_call_id: id, content }) as const;
    const { messages } = messagesOf([
      hello,
      {
        role: 'assistant',
        content: null,
        tool_calls: [call('call_0', 'a'), call('f:1', 'b'), call('f_1', 'c')],
      },
      result('f_1', 'c'),
      result('call_0', 'a'),
      result('f:1', 'b'),
      { role: 'assistant', content: null, tool_calls: [call('call_0', 'd'), call('', 'e'), call('', 'f')] },
      result('call_0', 'd'),
      result('', 'e'),
      result('', 'f'),
    ]);
    const blocks = messages.flatMap(({ content }) => content);
    const names = new Map(blocks.filter(({ name }) => name).map(({ id, name }) => [id, name]));
    const results = blocks.filter(({ type }) => type === 'tool_result');
    expect(results.map((block) => [names.get(block.tool_use_id), block.content])).toEqual([
      ['c', 'c'],
      ['a', 'a'],
      ['b', 'b'],
      ['d', 'd'],
      ['e', 'e'],
      ['f', 'f'],
    ]);
    expect([...names.keys()]).toEqual(['call_0', 'f_1', 'f_1_2', 'call_0_2', 'call', 'call_2']);
  });

  it('gives a result to a call of the last turn, not to one that nobody answered before', () => {
    const call = { id: 'call_0', type: 'function' as const, function: { name: 'f', arguments: '{}' } };
    const turn = { role: 'assistant' as const, tool_calls: [call] };
    const result = { role: 'tool' as const, tool_call_id: 'call_0', content: 'a' };
    const { messages } = messagesOf([hello, turn, hello, turn, result]);
    expect(messages.at(-1)?.content).toEqual([
      { type: 'tool_result', tool_use_id: 'call_0_2', content: 'a' },
    ]);
  });

  it('names the toolset of a call in its result, too', () => {
    const provider_specific_fields = { toolset_name: 'browser' };
    const call = { id: 'a:1', type: 'function', function: { name: 'find', arguments: '{}' } } as const;
    const { messages } = messagesOf([
      hello,
      {
        role: 'assistant',
        tool_calls: [
          { ...call, provider_specific_fields },
          { ...call, id: 'b' },
        ],
      },
      { role: 'tool', tool_call_id: 'a:1', content: '1' },
      { role: 'tool', tool_call_id: 'b', content: '2' },
    ]);
    expect(messages.slice(1).map(({ content }) => content.map((block) => block.toolset_name))).toEqual([
      ['browser', undefined],
      ['browser', undefined],
    ]);
  });

  it('makes one call of what a client says in both dialects', () => {
    const native = { type: 'tool_use', id: 'toolu_1', name: 'f', input: {} };
    const call = { id: 'toolu_1', type: 'function', function: { name: 'f', arguments: '{}' } } as const;
    const { messages } = messagesOf([
      hello,
      { role: 'assistant', content: [native], tool_calls: [call] },
      { role: 'tool', tool_call_id: 'toolu_1', content: '1' },
    ]);
    expect(messages.slice(1).map(({ content }) => content)).toEqual([
      [native],
      [{ type: 'tool_result', tool_use_id: 'toolu_1', content: '1' }],
    ]);
  });

  it('takes thousands of calls of one id in no time', () => {
    const call = { id: 'c', type: 'function', function: { name: 'f', arguments: '' } } as const;
    const many = Array.from({ length: 20_000 }, () => call);
    const started = performance.now();
    messagesOf([hello, { role: 'assistant', content: null, tool_calls: many }]);
    expect(performance.now() - started).toBeLessThan(2000);
  });

  it('takes images in results, and results without content', () => {
    const image = { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } } as const;
    const { messages } = messagesOf([
      { role: 'tool', tool_call_id: 'a', content: [image] },
      { role: 'tool', tool_call_id: 'b', content: '' },
    ]);
    expect(messages[0]?.content).toEqual([
      {
        type: 'tool_result',
        tool_use_id: 'a',
        content: [{ type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AAAA' } }],
      },
      { type: 'tool_result', tool_use_id: 'b' },
    ]);
  });

  it.each(['{"a":', '[1]', '7', 'null'])('refuses the arguments %s', (text) => {
    const call = { id: 'a', type: 'function', function: { name: 'f', arguments: text } } as const;
    expect(refusal({ messages: [hello, { role: 'assistant', tool_calls: [call] }] })).toEqual({
      code: 'invalid_body',
      param: 'messages[1].tool_calls[0].function.arguments',
    });
  });

  it('translates the dialect before tools, and asks for one call at most', () => {
    const parameters = { type: 'object', properties: { a: { type: 'number' } } };
    const { body, legacyFunctions } = translate({
      messages: [
        hello,
        { role: 'assistant', content: null, function_call: { name: 'f', arguments: '{"a":2}' } },
        { role: 'function', name: 'f', content: '2' },
      ],
      functions: [{ name: 'f', parameters }],
      function_call: { name: 'f' },
    });
    expect(legacyFunctions).toBe(true);
    expect(body.tools).toEqual([{ name: 'f', input_schema: parameters }]);
    expect(body.tool_choice).toEqual({ type: 'tool', name: 'f', disable_parallel_tool_use: true });
    expect(body.messages.slice(1)).toEqual([
      { role: 'assistant', content: [{ type: 'tool_use', id: 'call_1', name: 'f', input: { a: 2 } }] },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'call_1', content: '2' }] },
    ]);
  });
});

describe('thinking and raw blocks of earlier turns', () => {
  const thinking = { type: 'thinking', thinking: 'hm', signature: 'c2ln' };
  const redacted = { type: 'redacted_thinking', data: 'eA==' };

  it('are left out where nobody has signed them', () => {
    const unsigned = { type: 'thinking', thinking: 'hm' };
    const message = { role: 'assistant', content: 'a', thinking_blocks: [unsigned, redacted] } as const;
    const left = [redacted, { type: 'text', text: 'a' }];
    expect(messagesOf([hello, message, hello]).messages[1]?.content).toEqual(left);
    const parts = { role: 'assistant' as const, content: [unsigned, ...left] };
    expect(messagesOf([hello, parts, hello]).messages[1]?.content).toEqual(left);
  });

  it('stand before everything else, as they were', () => {
    const call = { id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } } as const;
    const { messages } = messagesOf([
      hello,
      {
        role: 'assistant',
        content: 'text',
        tool_calls: [call],
        reasoning_content: 'hm',
        provider_specific_fields: { thinking_blocks: [thinking, redacted, { type: 'tool_use' }], foreign: 1 },
      },
    ]);
    expect(messages[1]?.content).toEqual([
      thinking,
      redacted,
      { type: 'text', text: 'text' },
      { type: 'tool_use', id: 'a', name: 'f', input: {} },
    ]);
  });

  const raw = [
    { type: 'text', text: 'a' },
    { type: 'server_tool_use', id: 's', name: 'web_search', input: {} },
    { type: 'web_search_tool_result', tool_use_id: 's', content: [] },
    { type: 'text', text: '\n' },
    thinking,
    { type: 'text', text: 'b', citations: [{ type: 'char_location' }] },
  ];

  it('rebuilds a turn of mixed blocks exactly, blank text left out', () => {
    const message = {
      role: 'assistant',
      content: 'a\nb',
      provider_specific_fields: { anthropic_content: raw },
    } as const;
    expect(messagesOf([hello, message, hello]).messages[1]?.content).toEqual(
      raw.filter((_, index) => index !== 3),
    );
  });

  describe('bound to the conversation before them', () => {
    const signed = { thinking_blocks: [{ type: 'thinking', thinking: '', signature: 's' }] };
    const thought = { role: 'assistant' as const, content: 'b', provider_specific_fields: signed };
    const bound = 'thinking-binding-controls-2026-08-01';
    const of = (model: string, fields: Partial<ChatRequest> = {}) => {
      const messages = [hello, thought, hello];
      const { body, betas } = translate({ messages, ...fields }, { model, maxOutputTokens: 9000 });
      return { thinking: body.thinking, betas };
    };
    const dropped = { block_binding: { prefix_mismatch_behavior: 'drop_block' } };

    it('are left out by Anthropic where that has changed, which it would refuse', () => {
      for (const model of ['claude-opus-5-5', 'claude-sonnet-5-5', 'claude-haiku-5-5', 'claude-fable-5-2']) {
        expect(of(model)).toEqual({ thinking: { type: 'adaptive', ...dropped }, betas: [bound] });
      }
      expect(of('claude-opus-5-5', { reasoning_effort: 'low' })).toEqual({
        thinking: { type: 'adaptive', display: 'summarized', ...dropped },
        betas: [bound],
      });
    });

    it.each([
      ['of a model that binds none', 'claude-opus-5', {}],
      ['of a conversation without any', 'claude-opus-5-5', { messages: [hello] }],
    ])('are nothing to speak of: %s', (_what, model, fields) => {
      expect(of(model, fields)).toEqual({ thinking: undefined, betas: [] });
    });

    it('go as the client says, with the beta that its own words need', () => {
      expect(of('claude-sonnet-5-5', { reasoning_effort: 'none' }).thinking).toEqual({
        type: 'between_tools',
      });
      const own = { type: 'adaptive' };
      expect(of('claude-opus-5-5', { thinking: own })).toEqual({ thinking: own, betas: [] });
      const strict = { ...own, block_binding: { prefix_mismatch_behavior: 'error' } };
      expect(of('claude-opus-5-5', { thinking: strict })).toEqual({ thinking: strict, betas: [bound] });
    });
  });

  describe('a turn that was paused in a search', () => {
    const found = [
      { type: 'text', text: 'a' },
      { type: 'server_tool_use', id: 's1', name: 'web_search', input: {} },
      { type: 'web_search_tool_result', tool_use_id: 's1', content: [] },
    ];
    const open = [thinking, { type: 'server_tool_use', id: 's2', name: 'web_search', input: {} }];
    const called = { type: 'tool_use', id: 'toolu_1', name: 'f', input: {}, caller: { tool_id: 's2' } };
    const turn = (anthropic_content: object[], more: object = {}) => ({
      role: 'assistant' as const,
      content: anthropic_content.some(({ type }: { type?: string }) => type === 'text') ? 'a' : null,
      provider_specific_fields: { anthropic_content },
      ...more,
    });

    it('goes back whole where it is to go on', () => {
      expect(messagesOf([hello, turn([...found, ...open])]).messages[1]?.content).toEqual([
        ...found,
        ...open,
      ]);
      const call = { id: 'toolu_1', type: 'function' as const, function: { name: 'f', arguments: '{}' } };
      const waiting = turn([...open, called], { tool_calls: [call] });
      const result = { role: 'tool' as const, tool_call_id: 'toolu_1', content: '1' };
      expect(messagesOf([hello, waiting, result]).messages[1]?.content).toEqual([...open, called]);
    });

    it('goes back without the search that has no result where the user has spoken: Anthropic refuses that', () => {
      const { messages } = messagesOf([hello, turn([...found, ...open]), hello]);
      expect(messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'user']);
      expect(messages[1]?.content).toEqual(found);
      expect(messagesOf([hello, turn(open), hello]).messages.map(({ role }) => role)).toEqual([
        'user',
        'user',
      ]);
      const mcp = { type: 'mcp_tool_use', id: 'm', name: 'x', server_name: 'y', input: {} };
      const answered = { type: 'mcp_tool_result', tool_use_id: 'm', is_error: false, content: [] };
      const listed = messagesOf([hello, turn([found[0]!, mcp, answered, mcp]), hello]).messages[1]?.content;
      expect(listed).toEqual([found[0], mcp, answered, mcp]);
      expect(messagesOf([hello, turn([found[0]!, mcp]), hello]).messages[1]?.content).toEqual([found[0]]);
    });
  });

  it('has the arguments as the message has them: digit for digit, and edited ones', () => {
    const called = [thinking, { type: 'tool_use', id: 'toolu_1', name: 'f', input: { id: 1 }, caller: 'x' }];
    const calls = (json: string) => [
      { id: 'toolu_1', type: 'function' as const, function: { name: 'f', arguments: json } },
    ];
    const sent = (json: string, fields: object) => {
      const message = { role: 'assistant' as const, content: null, tool_calls: calls(json), ...fields };
      return JSON.stringify(messagesOf([hello, message, hello]).messages[1]?.content);
    };
    const withRaw = { provider_specific_fields: { anthropic_content: called } };
    for (const fields of [withRaw, {}]) {
      expect(sent('{"id":1234567890123456789}', fields)).toContain('"input":{"id":1234567890123456789}');
      expect(sent('{"id":"edited"}', fields)).toContain('"input":{"id":"edited"}');
    }
    expect(sent('{"id":1}', withRaw)).toBe(JSON.stringify(called));
    expect(sent('{"id":', withRaw)).toBe(JSON.stringify(called));
    expect(sent('', withRaw)).toBe(JSON.stringify(called));
    const [marked] = calls('{"id":1}').map((call) => ({ ...call, cache_control: { type: 'ephemeral' } }));
    expect(sent('', { ...withRaw, tool_calls: [marked] })).toContain('"cache_control":{"type":"ephemeral"}');
  });

  it('refuses what the model drew or said in a turn at another provider', () => {
    const drawn = { role: 'assistant' as const, content: 'a', images: [{ type: 'image_url' }] };
    expect(refusal({ messages: [hello, drawn, hello] }).param).toBe('messages[1].images');
    const { body, droppedParams } = translate({ messages: [hello, drawn, hello] }, { drop: true });
    expect([body.messages[1]?.content, droppedParams]).toEqual([
      [{ type: 'text', text: 'a' }],
      ['messages[1].images'],
    ]);
    expect(messagesOf([hello, { ...drawn, images: [] }, hello]).messages).toHaveLength(3);
  });

  it('believes the visible text when the client changed it', () => {
    const message = {
      role: 'assistant',
      content: 'other',
      provider_specific_fields: { anthropic_content: raw },
    } as const;
    expect(messagesOf([hello, message, hello]).messages[1]?.content).toEqual([
      { type: 'text', text: 'other' },
    ]);
    const parts = [
      { type: 'text', text: 'a\n' },
      { type: 'text', text: 'b' },
    ];
    expect(messagesOf([hello, { ...message, content: parts }, hello]).messages[1]?.content).toEqual(
      raw.filter((_, index) => index !== 3),
    );
  });

  it('believes the visible calls when the client changed them', () => {
    const blocks = ['a', 'b'].map((id) => ({ type: 'tool_use', id, name: 'f', input: {}, mood: 1 }));
    const call = { id: 'a', type: 'function' as const, function: { name: 'f', arguments: '{}' } };
    const said = { content: null, provider_specific_fields: { anthropic_content: blocks } };
    const message = { role: 'assistant' as const, ...said, tool_calls: [call] };
    expect(messagesOf([hello, message, hello]).messages[1]?.content).toEqual([
      { type: 'tool_use', id: 'a', name: 'f', input: {} },
    ]);
  });

  it('refuses a call of OpenAI’s custom tools', () => {
    const custom = { id: 'a', type: 'custom', custom: { name: 'c', input: 'x' } } as never;
    expect(
      refusal({ messages: [hello, { role: 'assistant', content: 'b', tool_calls: [custom] }, hello] }),
    ).toEqual({
      code: 'unsupported_parameter',
      param: 'messages[1].tool_calls[0]',
    });
  });
});

describe('content parts', () => {
  const contentOf = (part: Record<string, unknown> & { type: string }, options?: Options) =>
    translate({ messages: [{ role: 'user', content: [part] }] }, options);
  const blockOf = (part: Record<string, unknown> & { type: string }) =>
    contentOf(part).body.messages[0]?.content[0];

  const base64Webp = { type: 'base64', media_type: 'image/webp', data: 'UklGRgAAAABXRUJQ' };

  it.each([
    ['https://example.org/a.png', { type: 'url', url: 'https://example.org/a.png' }],
    ['data:image/jpeg;base64,/9j-_w', { type: 'base64', media_type: 'image/jpeg', data: '/9j+/w' }],
    ['data:image/jpeg;base64,/9j-', { type: 'base64', media_type: 'image/jpeg', data: '/9j+' }],
    ['data:image/jpg;base64,AAAA', { type: 'base64', media_type: 'image/jpeg', data: 'AAAA' }],
    // Anthropic refuses an image whose bytes are of another type than the one named; OpenAI looks at the bytes.
    ['data:image/png;base64,_9j_4AAQ', { type: 'base64', media_type: 'image/jpeg', data: '/9j/4AAQ' }],
    ['data:;base64,iVBORw0KGgoA', { type: 'base64', media_type: 'image/png', data: 'iVBORw0KGgoA' }],
    ['data:image/png;base64,R0lGODlh', { type: 'base64', media_type: 'image/gif', data: 'R0lGODlh' }],
    ['data:image/png;base64,UklGRgAAAABXRUJQ', base64Webp],
    ['data:image/webp;base64,UklGRgAAAABXQVZF', { ...base64Webp, data: 'UklGRgAAAABXQVZF' }],
    ['DATA:image/webp;base64,UklGRgAAAABXQVZF', { ...base64Webp, data: 'UklGRgAAAABXQVZF' }],
  ])('takes the image %s', (url, source) => {
    expect(blockOf({ type: 'image_url', image_url: { url } })).toEqual({ type: 'image', source });
  });

  it.each([
    [
      { file_data: 'data:application/pdf;base64,JVBERi0=' },
      { type: 'base64', media_type: 'application/pdf', data: 'JVBERi0=' },
    ],
    [{ file_data: 'JVBERi0=' }, { type: 'base64', media_type: 'application/pdf', data: 'JVBERi0=' }],
    [{ file_data: 'data:text/csv;base64,YTti' }, { type: 'text', media_type: 'text/plain', data: 'a;b' }],
    [{ file_data: 'data:application/json,{}' }, { type: 'text', media_type: 'text/plain', data: '{}' }],
    [{ file_data: 'data:application/xml,<a/>' }, { type: 'text', media_type: 'text/plain', data: '<a/>' }],
    [{ file_data: 'Data:text/plain,a%20b' }, { type: 'text', media_type: 'text/plain', data: 'a b' }],
    [{ file_url: 'https://example.org/a.pdf' }, { type: 'url', url: 'https://example.org/a.pdf' }],
    [{ file_data: 'https://example.org/a' }, { type: 'url', url: 'https://example.org/a' }],
    [{ file_id: 'https://example.org/a.pdf' }, { type: 'url', url: 'https://example.org/a.pdf' }],
    [{ file_id: 'file_1' }, { type: 'file', file_id: 'file_1' }],
  ])('takes the document %j', (file, source) => {
    expect(blockOf({ type: 'file', file })).toEqual({ type: 'document', source });
  });

  it('takes a PDF that comes as an image', () => {
    const url = 'data:application/pdf;base64,JVBERi0=';
    expect(blockOf({ type: 'image_url', image_url: { url } })).toEqual({
      type: 'document',
      source: { type: 'base64', media_type: 'application/pdf', data: 'JVBERi0=' },
    });
    const address = 'https://example.org/a.PDF?v=1';
    expect(blockOf({ type: 'image_url', image_url: { url: address } })).toEqual({
      type: 'document',
      source: { type: 'url', url: address },
    });
  });

  it('takes an image that comes as a file, or as its address alone', () => {
    const url = 'https://example.org/a.png';
    const image = { type: 'image', source: { type: 'url', url } };
    expect(blockOf({ type: 'file', file: { file_url: url } })).toEqual(image);
    expect(blockOf({ type: 'image_url', image_url: url })).toEqual(image);
  });

  it('takes the type that clients name beside a file', () => {
    const typed = (file: object) => blockOf({ type: 'file', file: { ...file, format: 'image/png' } });
    expect(typed({ file_id: 'f' })).toEqual({ type: 'image', source: { type: 'file', file_id: 'f' } });
    const url = 'https://example.org/a';
    expect(typed({ file_url: url })).toEqual({ type: 'image', source: { type: 'url', url } });
    expect(typed({ file_data: 'AAAA' })).toEqual({
      type: 'image',
      source: { type: 'base64', media_type: 'image/png', data: 'AAAA' },
    });
    expect(blockOf({ type: 'file', file: { file_data: 'aGk=', mime_type: 'text/plain' } })).toEqual({
      type: 'document',
      source: { type: 'text', media_type: 'text/plain', data: 'hi' },
    });
  });

  it.each([
    ['a.txt', 'pdf', 'application/pdf'],
    ['a.pdf', 'application/octet-stream', 'application/pdf'],
    ['a.txt', 'application/octet-stream', 'text/plain'],
    ['a.txt', 'txt', 'text/plain'],
    ['a.bin', 'text/plain; charset=utf-8', 'text/plain'],
  ])('takes %s, which the client calls %s, for %s', (filename, format, media_type) => {
    const file = { filename, file_data: 'aGk=', format };
    expect(blockOf({ type: 'file', file })).toMatchObject({ type: 'document', source: { media_type } });
  });

  it('keeps title, citations and cache mark of a document, and asks for the beta that files need', () => {
    const extras = { citations: { enabled: true }, context: 'c', cache_control: { type: 'ephemeral' } };
    const { body, betas } = contentOf({ type: 'file', file: { file_id: 'f', filename: 'a.pdf' }, ...extras });
    expect(body.messages[0]?.content[0]).toEqual({
      type: 'document',
      source: { type: 'file', file_id: 'f' },
      title: 'a.pdf',
      ...extras,
    });
    expect(betas).toEqual(['files-api-2025-04-14']);
  });

  it('passes Anthropic’s own blocks', () => {
    const block = { type: 'search_result', source: 'x', title: 't', content: [{ type: 'text', text: 'c' }] };
    expect(blockOf(block)).toEqual(block);
    expect(contentOf(block).betas).toEqual([]);
    const image = { type: 'image', source: { type: 'file', file_id: 'f' } };
    expect(contentOf(image).betas).toEqual(['files-api-2025-04-14']);
  });

  it('passes a turn that was kept in Anthropic’s own blocks, in its order', () => {
    const content = [
      { type: 'thinking', thinking: 'hm', signature: 's' },
      { type: 'server_tool_use', id: 'srvtoolu_1', name: 'web_search', input: { query: 'q' } },
      { type: 'web_search_tool_result', tool_use_id: 'srvtoolu_1', content: [] },
      { type: 'text', text: 'Found.' },
      { type: 'compaction', content: 'so far' },
    ];
    expect(messagesOf([hello, { role: 'assistant', content }, hello]).messages[1]?.content).toEqual(content);
  });

  it.each([
    { type: 'input_audio', input_audio: { data: 'AA==', format: 'wav' } },
    { type: 'file', file: { file_data: 'data:application/zip;base64,UEs=' } },
    { type: 'hologram' },
  ])('refuses by place, or leaves out and names: %j', (part) => {
    const messages = [
      { role: 'user', content: [{ type: 'text', text: 'x' }, part] },
    ] as ChatRequest['messages'];
    expect(refusal({ messages })).toEqual({ code: 'unsupported_parameter', param: 'messages[0].content[1]' });
    const { body, droppedParams } = translate({ messages }, { drop: true });
    expect(droppedParams).toEqual(['messages[0].content[1]']);
    expect(body.messages[0]?.content).toEqual([{ type: 'text', text: 'x' }]);
  });

  it.each([
    [{ type: 'image_url', image_url: { url: 'ftp://x' } }, 'messages[0].content[0].image_url.url'],
    [{ type: 'image_url', image_url: { url: 'data:image/png' } }, 'messages[0].content[0].image_url.url'],
    [{ type: 'file', file: {} }, 'messages[0].content[0].file'],
    [
      { type: 'file', file: { file_data: 'data:text/plain,%E0%A4%A' } },
      'messages[0].content[0].file.file_data',
    ],
  ])('calls %j a malformed body', (part, param) => {
    expect(refusal({ messages: [{ role: 'user', content: [part] }] as ChatRequest['messages'] })).toEqual({
      code: 'invalid_body',
      param,
    });
  });
});

describe('tools', () => {
  const tool = {
    type: 'function',
    function: { name: 'f', description: 'd', parameters: { type: 'object' } },
  };

  it('translates functions, and passes the vendor’s own tools', () => {
    const search = { type: 'web_search_20250305', name: 'web_search', max_uses: 3 };
    const strict = {
      type: 'function',
      function: {
        name: 'g',
        strict: true,
        parameters: { type: 'object', properties: { n: { minimum: 0 } } },
      },
      cache_control: { type: 'ephemeral' },
    };
    expect(bodyOf({ tools: [tool, strict, search] }).tools).toEqual([
      { name: 'f', description: 'd', input_schema: { type: 'object' } },
      {
        name: 'g',
        input_schema: {
          type: 'object',
          properties: { n: { description: '{minimum: 0}' } },
          additionalProperties: false,
        },
        strict: true,
        cache_control: { type: 'ephemeral' },
      },
      search,
    ]);
  });

  it.each([
    ['auto', undefined, { type: 'auto' }],
    ['none', false, { type: 'none' }],
    ['required', undefined, { type: 'any' }],
    ['required', false, { type: 'any', disable_parallel_tool_use: true }],
    [undefined, false, { type: 'auto', disable_parallel_tool_use: true }],
    [undefined, true, undefined],
    [{ type: 'function', function: { name: 'f' } }, undefined, { type: 'tool', name: 'f' }],
    [{ type: 'any' }, undefined, { type: 'any' }],
  ] as const)('translates tool_choice %j with parallel_tool_calls %j', (choice, parallel, expected) => {
    const fields = { tools: [tool], tool_choice: choice, parallel_tool_calls: parallel };
    expect(bodyOf(fields).tool_choice).toEqual(expected);
  });

  it('searches with the tool when the search field of OpenAI’s models says so', () => {
    const approximate = { country: 'DE', city: 'Bonn' };
    const web_search_options = {
      search_context_size: 'medium',
      user_location: { type: 'approximate', approximate },
    };
    // As many as are held for.
    const search = { type: 'web_search_20250305', name: 'web_search', max_uses: 10 };
    const located = { ...search, user_location: { type: 'approximate', ...approximate } };
    expect(bodyOf({ web_search_options }).tools).toEqual([located]);
    expect(bodyOf({ web_search_options: {} }).tools).toEqual([search]);
    const own = { ...search, max_uses: 2 };
    expect(bodyOf({ web_search_options: {}, tools: [own] }).tools).toEqual([own]);
    const namesake = { type: 'function', function: { name: 'web_search' } };
    expect(refusal({ web_search_options: {}, tools: [namesake] }).param).toBe('web_search_options');
    const deep = { web_search_options: { search_context_size: 'high' } };
    expect(refusal(deep).param).toBe('web_search_options.search_context_size');
    expect(translate(deep, { drop: true }).body.tools).toEqual([search]);
  });

  describe('of which some are allowed', () => {
    const other = { type: 'function', function: { name: 'g' } };
    const search = { type: 'web_search_20250305', name: 'web_search' };
    const tools = [tool, other, search];
    const named = { type: 'function', function: { name: 'g' } };
    const namesOf = (body: { [name: string]: unknown }) =>
      (body.tools as { name: string }[]).map(({ name }) => name);

    it.each([
      ['auto', [named], ['g'], 'auto'],
      ['required', [named], ['g'], 'any'],
      [undefined, [named, { type: 'function', name: 'f' }], ['f', 'g'], 'auto'],
      ['required', [{ type: 'web_search_20250305' }], ['web_search'], 'any'],
    ])('sends only those, with mode %j', (mode, allowed, names, type) => {
      const choices = [
        { type: 'allowed_tools', allowed_tools: { mode, tools: allowed } },
        { type: 'allowed_tools', mode, tools: allowed },
      ];
      for (const tool_choice of choices) {
        const body = bodyOf({ tools, tool_choice });
        expect(namesOf(body)).toEqual(names);
        expect(body.tool_choice).toEqual({ type });
      }
    });

    it('keeps to one call at a time, and forces no tool where that is not possible', () => {
      const tool_choice = { type: 'allowed_tools', allowed_tools: { mode: 'required', tools: [named] } };
      const one = bodyOf({ tools, tool_choice, parallel_tool_calls: false });
      expect(one.tool_choice).toEqual({ type: 'any', disable_parallel_tool_use: true });
      expect(refusal({ tools, tool_choice }, { model: 'claude-opus-5-5' }).param).toBe('tool_choice');
    });

    it('takes no list that leaves none', () => {
      for (const list of [undefined, [], [{ type: 'function', function: { name: 'unknown' } }]]) {
        const tool_choice = { type: 'allowed_tools', allowed_tools: { mode: 'auto', tools: list } };
        expect(refusal({ tools, tool_choice })).toEqual({
          code: 'invalid_body',
          param: 'tool_choice.allowed_tools.tools',
        });
      }
    });
  });

  it('says that a function’s input is an object where its schema does not', () => {
    const schemaOf = (parameters: object | undefined) =>
      (
        bodyOf({ tools: [{ type: 'function', function: { name: 'f', parameters } }] } as Partial<ChatRequest>)
          .tools as {
          input_schema: unknown;
        }[]
      )[0]?.input_schema;
    expect(schemaOf({ properties: { a: {} } })).toEqual({ type: 'object', properties: { a: {} } });
    expect(schemaOf(undefined)).toEqual({ type: 'object', properties: {} });
  });

  it('leaves a choice out that has nothing to choose from, unless it demands a tool', () => {
    expect(bodyOf({ tool_choice: 'none', parallel_tool_calls: false })).not.toHaveProperty('tool_choice');
    expect(refusal({ tool_choice: 'required' })).toEqual({ code: 'invalid_body', param: 'tool_choice' });
  });

  it.each([
    'claude-opus-5-5',
    'claude-fable-5-1',
    'claude-fable-5-2',
    'claude-mythos-5-1',
    'claude-sonnet-5-5',
  ])('cannot force a tool on %s', (model) => {
    const one = { type: 'function', function: { name: 'f' } } as const;
    for (const choice of ['required', one] as const) {
      const fields = { tools: [tool], tool_choice: choice, parallel_tool_calls: false };
      expect(refusal(fields, { model })).toEqual({ code: 'unsupported_parameter', param: 'tool_choice' });
      const { body, droppedParams } = translate(fields, { model, drop: true });
      expect(droppedParams).toEqual(['tool_choice']);
      expect(body.tool_choice).toEqual({ type: 'auto', disable_parallel_tool_use: true });
    }
    const legacy = { functions: [tool.function], function_call: { name: 'f' } };
    expect(refusal(legacy, { model }).param).toBe('function_call');
    expect(bodyOf({ tools: [tool], tool_choice: 'none' }, { model }).tool_choice).toEqual({ type: 'none' });
  });

  it('refuses what Anthropic does not have', () => {
    expect(refusal({ tools: [{ type: 'custom', custom: { name: 'c' } }] }).param).toBe('tools[0]');
    expect(refusal({ tools: [{ type: 'function' }] })).toEqual({
      code: 'invalid_body',
      param: 'tools[0].function',
    });
    const unnamed = { type: 'function', function: { name: '' } } as const;
    expect(refusal({ tools: [tool], tool_choice: unnamed }).param).toBe('tool_choice.function.name');
    expect(refusal({ tools: [tool], tool_choice: { type: 'custom' } }).param).toBe('tool_choice');
    const strict = { type: 'function', function: { name: 'g', strict: true } };
    expect(refusal({ tools: [strict] }, { model: 'claude-3-opus-20240229' }).param).toBe(
      'tools[0].function.strict',
    );
  });
});

describe('a model that takes text alone', () => {
  const tools = [{ type: 'function', function: { name: 'f' } }];
  const tool_calls = [{ id: 'c', type: 'function' as const, function: { name: 'f', arguments: '{}' } }];
  const png = { type: 'image_url', image_url: { url: 'https://example.org/a.png' } };
  const asking = (part: object) => ({
    messages: [{ role: 'user', content: [{ type: 'text', text: 'a' }, part] }],
  });

  it.each([
    ['tools', { tools, tool_choice: 'required' }, ['tools']],
    ['functions', { functions: [{ name: 'f' }] }, ['functions']],
    ['a search', { web_search_options: {} }, ['web_search_options']],
    [
      'calls and results of tools',
      {
        messages: [
          hello,
          { role: 'assistant', content: 'I look.', tool_calls },
          { role: 'tool', tool_call_id: 'c', content: 'sun' },
          { role: 'user', content: 'and now?' },
        ],
      },
      ['messages[1]', 'messages[2]'],
    ],
    ['an image', asking(png), ['messages[0].content[1]']],
    ['a document', asking({ type: 'file', file: { file_id: 'f' } }), ['messages[0].content[1]']],
    ['Anthropic’s own', asking({ type: 'tool_result', tool_use_id: 'x' }), ['messages[0].content[1]']],
  ] as const)('is not sent %s', (_, fields, params) => {
    for (const model of ['claude-2.1', 'claude-instant-1.2']) {
      const asked = fields as unknown as Partial<ChatRequest>;
      expect(refusal(asked, { model })).toEqual({ code: 'unsupported_parameter', param: params[0] });
      const { body, droppedParams } = translate(asked, { model, drop: true });
      expect(droppedParams).toEqual(params);
      expect(body).not.toHaveProperty('tools');
      expect(body).not.toHaveProperty('tool_choice');
      const blocks = body.messages.flatMap(({ content }) => content);
      expect(blocks.filter(({ type }) => type !== 'text')).toEqual([]);
      expect(translate(asked).droppedParams).toEqual([]);
    }
  });

  it('is not left to go on with its own words, as the last message cannot be sent', () => {
    const said = { role: 'assistant', content: 'I look.', tool_calls };
    const result = { role: 'tool', tool_call_id: 'c', content: 'sun' };
    const drawing = { role: 'user', content: [png] };
    const model = 'claude-2.1';
    for (const last of [result, drawing]) {
      const messages = [hello, said, last] as ChatRequest['messages'];
      expect(refusal({ messages }, { model, drop: true })).toMatchObject({
        code: 'unsupported_parameter',
        param: expect.stringMatching(/^messages\[2\]/) as string,
      });
      expect(translate({ messages }).droppedParams).toEqual([]);
    }
    const silent = [hello, { ...said, content: null }, result] as ChatRequest['messages'];
    expect(translate({ messages: silent }, { model, drop: true }).body.messages).toHaveLength(1);
  });

  it('has fields of tools that ask for nothing', () => {
    const nothing = { tools: [], functions: null, web_search_options: null, tool_choice: 'auto' } as const;
    expect(bodyOf({ ...nothing, tools: [] }, { model: 'claude-2.1' })).not.toHaveProperty('tools');
  });
});

describe('limits and sampling', () => {
  it('writes the gateway’s limit, else the model’s, else a small one', () => {
    expect(bodyOf({}, { maxOutputTokens: 17 }).max_tokens).toBe(17);
    const unnamed = (upstreamModel: string) => {
      const request = { model: 'm', messages: [hello] };
      const call = { request, upstreamModel, maxOutputTokens: undefined, dropUnsupported: false };
      return toAnthropicRequest(call, false).body.max_tokens;
    };
    expect(unnamed('claude-opus-4-1-20250805')).toBe(32_000);
    expect(unnamed('claude-of-tomorrow')).toBe(4096);
  });

  it('passes temperature, top_p, top_k and stop', () => {
    const fields = { temperature: 0.3, top_p: 0.9, top_k: 5, stop: 'END' };
    expect(bodyOf(fields, { model: 'claude-3-haiku-20240307' })).toMatchObject({
      temperature: 0.3,
      top_p: 0.9,
      top_k: 5,
      stop_sequences: ['END'],
    });
  });

  it('leaves out what equals the default', () => {
    const body = bodyOf({ temperature: 1, top_p: 1 }, { model: 'claude-opus-5-5' });
    expect(body).not.toHaveProperty('temperature');
    expect(body).not.toHaveProperty('top_p');
    // This one takes a temperature or a top_p, and the client says both, one of them without meaning anything by it.
    expect(bodyOf({ temperature: 1, top_p: 0.9 })).toMatchObject({ top_p: 0.9 });
    expect(bodyOf({ temperature: 1, top_p: 0.9 })).not.toHaveProperty('temperature');
    expect(bodyOf({ temperature: 0.5, top_p: 1 })).toMatchObject({ temperature: 0.5 });
  });

  it.each([
    [{ temperature: 1.5 }, 'temperature', MODEL],
    [{ temperature: 0.5, top_p: 0.5 }, 'top_p', MODEL],
    [{ temperature: 0.5 }, 'temperature', 'claude-opus-4-7'],
    [{ top_k: 1 }, 'top_k', 'claude-opus-4-7'],
    [{ stop: ['a', '\n'] }, 'stop', MODEL],
  ])('refuses %j, or leaves it out', (fields, param, model) => {
    expect(refusal(fields, { model })).toEqual({ code: 'unsupported_parameter', param });
    expect(translate(fields, { model, drop: true }).droppedParams).toEqual([param]);
  });
});

describe('response_format', () => {
  const schema = { type: 'object', properties: {}, additionalProperties: false };
  const format = { type: 'json_schema', json_schema: { name: 'x', description: 'd', schema } } as const;

  it('uses structured outputs, beside what the client gives in Anthropic’s words', () => {
    const body = bodyOf(
      { response_format: format, output_config: { effort: 'low' } },
      { model: 'claude-opus-4-5' },
    );
    expect(body.output_config).toEqual({
      effort: 'low',
      format: { type: 'json_schema', schema: { ...schema, description: 'd' } },
    });
  });

  it('closes open objects, and tells the model of limits that cannot be enforced', () => {
    const open = {
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      type: 'object',
      properties: {
        minimum: { type: ['integer', 'null'], minimum: 1, maximum: 5, description: 'of five' },
        tags: { type: 'array', minItems: 1, maxItems: 3, items: { $ref: '#/$defs/tag' } },
        when: {
          oneOf: [
            { type: 'string', format: 'date' },
            { type: 'string', format: 'week' },
          ],
        },
        labels: { type: 'object', additionalProperties: { type: 'string', maxLength: 9 } },
        kind: { enum: ['minimum', 1], default: { maximum: 1 } },
      },
      $defs: { tag: { type: 'object', properties: { name: { type: 'string', pattern: '^a' } } } },
    };
    const given = structuredClone(open);
    const config = bodyOf({
      response_format: { type: 'json_schema', json_schema: { name: 'x', schema: open } },
    });
    expect(config.output_config).toEqual({
      format: {
        type: 'json_schema',
        schema: {
          type: 'object',
          properties: {
            minimum: { type: ['integer', 'null'], description: 'of five\n\n{minimum: 1, maximum: 5}' },
            tags: {
              type: 'array',
              minItems: 1,
              items: { $ref: '#/$defs/tag' },
              description: '{maxItems: 3}',
            },
            when: {
              anyOf: [
                { type: 'string', format: 'date' },
                { type: 'string', description: '{format: "week"}' },
              ],
            },
            labels: {
              type: 'object',
              additionalProperties: { type: 'string', description: '{maxLength: 9}' },
            },
            kind: { enum: ['minimum', 1], default: { maximum: 1 } },
          },
          $defs: {
            tag: {
              type: 'object',
              properties: { name: { type: 'string', pattern: '^a' } },
              additionalProperties: false,
            },
          },
          additionalProperties: false,
        },
      },
    });
    expect(open).toEqual(given);
  });

  it('tells what Anthropic’s grammar does not know, and closes objects that may have more than they name', () => {
    const properties = { a: { type: 'string', examples: ['x'], not: { const: 'y' } } };
    const open = {
      type: 'object',
      properties: {
        open: { type: 'object', properties, additionalProperties: true },
        loose: { type: 'object', properties, additionalProperties: {} },
        any: { type: 'object', additionalProperties: true },
        pair: { type: 'array', prefixItems: [{ type: 'string' }], items: { type: 'string' } },
      },
      patternProperties: { '^x-': {} },
    };
    const config = bodyOf({
      response_format: { type: 'json_schema', json_schema: { name: 'x', schema: open } },
    });
    const told = { a: { type: 'string', description: '{examples: ["x"], not: {"const":"y"}}' } };
    const closed = { type: 'object', properties: told, additionalProperties: false };
    expect(config.output_config).toMatchObject({
      format: {
        schema: {
          properties: {
            open: closed,
            loose: closed,
            any: { type: 'object', additionalProperties: true },
            pair: {
              type: 'array',
              items: { type: 'string' },
              description: '{prefixItems: [{"type":"string"}]}',
            },
          },
          description: '{patternProperties: {"^x-":{}}}',
        },
      },
    });
    expect(JSON.stringify(config.output_config)).not.toMatch(
      /"(examples|not|prefixItems|patternProperties)":/,
    );
  });

  it('takes what stands alone in allOf out of it, unless it would say something else', () => {
    const schemaOf = (property: object) => {
      const wrapped = { type: 'object', properties: { a: property }, $defs: { t: { type: 'string' } } };
      const body = bodyOf({
        response_format: { type: 'json_schema', json_schema: { name: 'x', schema: wrapped } },
      });
      return (body.output_config as { format: { schema: typeof wrapped } }).format.schema.properties.a;
    };
    const ref = { $ref: '#/$defs/t' };
    expect(schemaOf({ allOf: [ref], description: 'd', default: 'b' })).toEqual({
      ...ref,
      description: 'd',
      default: 'b',
    });
    for (const same of [
      { allOf: [{ type: 'string', pattern: 'a' }], pattern: 'b' },
      { allOf: [{ pattern: 'a' }, { pattern: 'b' }] },
    ])
      expect(schemaOf(same)).toEqual(same);
  });

  describe('without structured outputs', () => {
    const model = 'claude-sonnet-4-20250514';
    const tools = [{ type: 'function', function: { name: 'f' } }];

    it.each(['claude-3-haiku-20240307', 'claude-3-7-sonnet-20250219', model])(
      'is the input of a tool that %s has to call, whole as it was given',
      (upstreamModel) => {
        const recursive = {
          type: 'object',
          properties: { next: { $ref: '#/$defs/node' }, n: { type: 'integer', minimum: 1 } },
          $defs: { node: { type: 'object', properties: { next: { $ref: '#/$defs/node' } } } },
        };
        const json_schema = { name: 'x', description: 'A list.', schema: recursive, strict: true };
        const { body, answersByTool } = translate(
          { response_format: { type: 'json_schema', json_schema } },
          { model: upstreamModel },
        );
        expect(body).toMatchObject({
          tools: [{ name: 'answer', input_schema: recursive }],
          tool_choice: { type: 'tool', name: 'answer', disable_parallel_tool_use: true },
        });
        expect(JSON.stringify(body.tools)).toContain('A list.');
        expect(body).not.toHaveProperty('output_config');
        expect(answersByTool).toBe(true);
      },
    );

    it('says that its top is an object where the schema does not', () => {
      const schema = { $ref: '#/$defs/a', $defs: { a: { type: 'object' } } };
      const { tools } = bodyOf(
        { response_format: { type: 'json_schema', json_schema: { name: 'x', schema } } },
        { model },
      );
      expect(tools).toMatchObject([{ input_schema: { ...schema, type: 'object' } }]);
    });

    it('stands in for tools that may not be called, and beside thinking that is off', () => {
      const off = {
        tools,
        tool_choice: 'none',
        thinking: { type: 'disabled' },
        reasoning_effort: 'none',
      } as const;
      const body = bodyOf({ response_format: format, ...off }, { model });
      expect(body.tools).toMatchObject([{ name: 'answer' }]);
      const legacy = { functions: [{ name: 'answer' }], function_call: 'none' as const };
      expect(bodyOf({ response_format: format, ...legacy }, { model }).tools).toHaveLength(1);
    });

    const other = (schema: Record<string, unknown>) => ({
      response_format: { type: 'json_schema', json_schema: { name: 'x', schema } } as const,
    });
    it.each([
      ['tools', { tools }, model],
      ['a forced tool', { tools, tool_choice: 'required' }, model],
      ['functions', { functions: [{ name: 'f' }] }, model],
      ['a search', { web_search_options: {} }, model],
      ['servers of tools', { mcp_servers: [{ type: 'url', url: 'https://x', name: 'x' }] }, model],
      ['thinking', { thinking: { type: 'enabled', budget_tokens: 1024 } }, model],
      ['an effort', { reasoning_effort: 'low' }, model],
      ['a model without tools', {}, 'claude-2.1'],
      ['a model without tools', {}, 'claude-instant-1.2'],
      ['a list', other({ type: 'array', items: {} }), model],
      ['an object or nothing', other({ type: ['object', 'null'] }), model],
      ['one of several', other({ anyOf: [{ type: 'object' }, { type: 'object' }] }), model],
    ] as const)('is refused, or left out, with %s', (_, fields, upstreamModel) => {
      const asked = { response_format: format, ...fields } as Partial<ChatRequest>;
      const options = { model: upstreamModel, maxOutputTokens: 4000 };
      expect(refusal(asked, options)).toEqual({ code: 'unsupported_parameter', param: 'response_format' });
      const { body, droppedParams, answersByTool } = translate(asked, { ...options, drop: true });
      expect(droppedParams).toEqual(['response_format']);
      expect(answersByTool).toBe(false);
      expect(JSON.stringify(body)).not.toContain('"answer"');
    });
  });

  it('asks for JSON in words where any object will do', () => {
    const body = bodyOf({
      messages: [{ role: 'system', content: 's' }, hello],
      response_format: { type: 'json_object' },
    });
    expect(body.system).toHaveLength(2);
    expect(body.system?.[1]?.text).toMatch(/JSON object/);
    expect(body).not.toHaveProperty('output_config');
  });

  it('refuses a schema that is none', () => {
    const broken = { type: 'json_schema', json_schema: { name: 'x' } } as const;
    expect(refusal({ response_format: broken })).toEqual({
      code: 'invalid_body',
      param: 'response_format.json_schema.schema',
    });
  });
});

describe('reasoning_effort', () => {
  const of = (effort: string, model: string, more: Partial<ChatRequest> = {}, maxOutputTokens = 40_000) => {
    const { thinking, output_config: config } = bodyOf(
      { reasoning_effort: effort, ...more },
      { model, maxOutputTokens },
    );
    return { thinking, config };
  };
  /** From Opus 4.7 on the text of thoughts comes only when it is asked for. */
  const shown = { type: 'adaptive', display: 'summarized' };

  it.each([
    ['low', 'claude-haiku-4-5', { thinking: { type: 'enabled', budget_tokens: 1024 } }],
    ['high', 'claude-sonnet-4-20250514', { thinking: { type: 'enabled', budget_tokens: 24_576 } }],
    ['none', 'claude-haiku-4-5', {}],
    ['none', 'claude-3-opus-20240229', {}],
    ['minimal', 'claude-opus-4-6', { thinking: { type: 'adaptive' }, config: { effort: 'low' } }],
    ['xhigh', 'claude-opus-4-7', { thinking: shown, config: { effort: 'xhigh' } }],
    ['medium', 'claude-sonnet-5', { thinking: shown, config: { effort: 'medium' } }],
    ['low', 'claude-opus-5-5', { thinking: shown, config: { effort: 'low' } }],
    ['none', 'claude-sonnet-5', { thinking: { type: 'disabled' } }],
    ['none', 'claude-sonnet-5-5', { thinking: { type: 'between_tools' } }],
    ['max', 'claude-of-tomorrow', { config: { effort: 'max' } }],
  ])('%s for %s', (effort, model, expected) => {
    expect(of(effort, model)).toEqual({ thinking: undefined, config: undefined, ...expected });
  });

  it('stays below the output limit', () => {
    expect(of('high', MODEL, {}, 4000).thinking).toEqual({ type: 'enabled', budget_tokens: 3000 });
    expect(refusal({ reasoning_effort: 'low' }, { maxOutputTokens: 1000 }).param).toBe('reasoning_effort');
  });

  it('yields to a thinking object, which goes on as it is', () => {
    const thinking = { type: 'enabled', budget_tokens: 3000, display: 'summarized' };
    expect(of('high', MODEL, { thinking })).toEqual({ thinking, config: undefined });
    expect(of('high', 'claude-opus-4-6', { thinking }).config).toEqual({ effort: 'high' });
  });

  it.each([
    ['high', 'claude-3-opus-20240229'],
    ['none', 'claude-opus-5-5'],
    ['xhigh', 'claude-opus-4-6'],
    ['extreme', MODEL],
  ])('%s is refused by %s', (effort, model) => {
    expect(refusal({ reasoning_effort: effort }, { model })).toEqual({
      code: 'unsupported_parameter',
      param: 'reasoning_effort',
    });
  });

  it('does not go with a forced tool where thinking has to be switched on', () => {
    const forced = {
      tools: [{ type: 'function', function: { name: 'f' } }],
      tool_choice: 'required',
    } as const;
    const fields = { reasoning_effort: 'low', tool_choice: forced.tool_choice, tools: [...forced.tools] };
    expect(refusal(fields, { maxOutputTokens: 9000 }).param).toBe('reasoning_effort');
    expect(of('low', 'claude-opus-4-6', fields)).toEqual({ thinking: undefined, config: { effort: 'low' } });
    expect(of('low', 'claude-opus-5', fields)).toEqual({ thinking: shown, config: { effort: 'low' } });
  });

  it('begins no thinking in the middle of a turn, where a budget switches it on', () => {
    const turn = (fields: object, more: ChatRequest['messages'] = []): ChatRequest['messages'] => [
      hello,
      {
        role: 'assistant',
        content: 'So:',
        tool_calls: [{ id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } }],
        ...fields,
      },
      { role: 'tool', tool_call_id: 'a', content: '1' },
      ...more,
    ];
    const thought = { thinking_blocks: [{ type: 'thinking', thinking: 'hm', signature: 's' }] };
    const later = turn({}).slice(1);
    const on = { type: 'enabled', budget_tokens: 8192 };
    const messages = turn({});
    expect(of('medium', MODEL, { messages, temperature: 0.5 }).thinking).toBeUndefined();
    expect(of('medium', MODEL, { messages: turn(thought) }).thinking).toEqual(on);
    expect(of('medium', MODEL, { messages: turn(thought, later) }).thinking).toEqual(on);
    const end = [{ role: 'assistant' as const, content: 'done' }, hello];
    expect(of('medium', MODEL, { messages: [...messages, hello] }).thinking).toBeUndefined();
    expect(of('medium', MODEL, { messages: [...messages, ...end] }).thinking).toEqual(on);
    expect(of('medium', MODEL, { messages: [...turn(thought), ...end, ...later] }).thinking).toBeUndefined();
    expect(of('medium', 'claude-opus-4-6', { messages }).thinking).toEqual({ type: 'adaptive' });
    const own = { type: 'enabled', budget_tokens: 3000 };
    expect(of('medium', MODEL, { messages, thinking: own }).thinking).toEqual(own);
  });

  it('fixes the temperature', () => {
    const fields = { reasoning_effort: 'low', temperature: 0.5 };
    expect(refusal(fields, { maxOutputTokens: 9000 }).param).toBe('temperature');
  });
});

describe('other fields', () => {
  it('translates user, service_tier and betas', () => {
    const { body, betas } = translate({
      user: 'u',
      metadata: { tag: 'x' },
      service_tier: 'default',
      betas: ['a-1', 'b\n'],
    });
    expect(body).toMatchObject({ metadata: { user_id: 'u' }, service_tier: 'standard_only' });
    expect(betas).toEqual(['a-1']);
  });

  it.each(['ann@example.org', '+44 (0)20 7946-0958', 'x'.repeat(257)])(
    'gives a user whom Anthropic would not take by name as a hash: %s',
    (user) => {
      const { metadata } = translate({ user }).body;
      expect(metadata).toEqual({ user_id: expect.stringMatching(/^[0-9a-f]{64}$/) });
      expect(translate({ user }).body.metadata).toEqual(metadata);
      expect(translate({ user: `${user}0` }).body.metadata).not.toEqual(metadata);
    },
  );

  it('passes Anthropic’s own, with the beta that each needs', () => {
    const mcp = [{ type: 'url', name: 'x', url: 'https://example.org/mcp' }];
    const { body, betas } = translate({
      mcp_servers: mcp,
      container: 'c',
      cache_control: { type: 'ephemeral' },
    });
    expect(body).toMatchObject({ mcp_servers: mcp, container: 'c', cache_control: { type: 'ephemeral' } });
    expect(betas).toEqual(['mcp-client-2025-04-04']);
    const toolset = { type: 'mcp_toolset', mcp_server_name: 'x' };
    expect(translate({ mcp_servers: mcp, tools: [toolset] }).betas).toEqual(['mcp-client-2025-11-20']);
    expect(translate({ mcp_servers: mcp, betas: ['mcp-client-2025-11-20'] }).betas).toEqual([
      'mcp-client-2025-11-20',
    ]);
  });

  it.each([
    { n: 1 },
    { n: null, seed: null, logprobs: false, top_logprobs: 0 },
    { frequency_penalty: 0, presence_penalty: 0, logit_bias: {} },
    { modalities: ['text'], store: false, verbosity: 'medium' },
    { response_format: { type: 'text' }, stream_options: { include_usage: true } },
    { prompt_cache_key: 'k', prompt_cache_options: { mode: 'explicit' }, speed: 'standard' },
    { audio: undefined },
  ] as Partial<ChatRequest>[])('takes %j for what it is: nothing', (fields) => {
    expect(bodyOf(fields)).toEqual(bodyOf({}));
  });

  it.each([
    ['n', 2],
    ['seed', 1],
    ['logprobs', true],
    ['top_logprobs', 2],
    ['frequency_penalty', 0.1],
    ['presence_penalty', -1],
    ['logit_bias', { 1: 1 }],
    ['modalities', ['text', 'audio']],
    ['audio', { voice: 'v' }],
    ['prediction', { type: 'content' }],
    ['store', true],
    ['service_tier', 'flex'],
    ['speed', 'fast'],
    ['inference_geo', 'us'],
    ['fallbacks', [{ model: 'other' }]],
    ['tomorrow', 1],
    ['constructor', 1],
  ])('refuses %s by name, or leaves it out and names it', (name, value) => {
    const fields = { [name]: value };
    expect(refusal(fields)).toEqual({ code: 'unsupported_parameter', param: name });
    const { body, droppedParams } = translate(fields, { drop: true });
    expect(droppedParams).toEqual([name]);
    expect(body).toEqual(bodyOf({}));
  });
});

describe('any request', () => {
  const text = fc.constantFrom(
    '',
    ' ',
    'a',
    '{"a":1}',
    'data:image/png;base64,AAAA',
    'https://example.org',
    'data:x',
  );
  const value = fc.oneof(
    text,
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.constant(undefined),
    fc.jsonValue(),
  );
  const part = fc.oneof(
    fc.record({ type: fc.constant('text'), text }),
    fc.record({ type: fc.constant('image_url'), image_url: fc.record({ url: text }) }),
    fc.record({
      type: fc.constant('file'),
      file: fc.dictionary(fc.constantFrom('file_data', 'file_url', 'file_id'), text),
    }),
    fc.record({ type: fc.constantFrom('image', 'document', 'input_audio', 'x'), source: value }),
  );
  const call = fc.record({
    id: text,
    type: fc.constantFrom('function', 'custom'),
    function: fc.option(fc.record({ name: text, arguments: text }), { nil: undefined }),
    provider_specific_fields: value,
  });
  const message = fc.record(
    {
      role: fc.constantFrom('system', 'developer', 'user', 'assistant', 'tool', 'function'),
      content: fc.oneof(text, fc.array(part, { maxLength: 3 }), fc.constant(null)),
      name: text,
      tool_calls: fc.array(call, { maxLength: 2 }),
      tool_call_id: text,
      refusal: fc.option(text),
      function_call: fc.option(fc.record({ name: text, arguments: text })),
      provider_specific_fields: fc.oneof(
        fc.constant(null),
        fc.record({ thinking_blocks: value, anthropic_content: fc.oneof(value, fc.array(part)) }),
      ),
      cache_control: value,
      is_error: value,
    },
    { requiredKeys: ['role', 'content'] },
  );
  const fields = fc.dictionary(
    fc.constantFrom(
      'temperature',
      'top_p',
      'n',
      'seed',
      'thinking',
      'top_k',
      'user',
      'metadata',
      'betas',
      'foreign',
    ),
    value,
  );
  const effort = fc.constantFrom(
    undefined,
    null,
    'none',
    'minimal',
    'low',
    'high',
    'max',
    'odd',
    'constructor',
  );
  const format = fc.constantFrom(
    undefined,
    { type: 'text' },
    { type: 'json_object' },
    { type: 'odd' },
    { type: 'json_schema' },
  );
  const models = fc.constantFrom(
    'claude-2.1',
    'claude-3-opus',
    MODEL,
    'claude-opus-4-8',
    'claude-opus-5-5',
    'unknown',
  );

  it('is translated, or refused by a GatewayError that names a field; the request stays as it was', () => {
    const request = fc.record({
      model: text,
      messages: fc.array(message, { minLength: 1, maxLength: 6 }),
      fields,
      reasoning_effort: effort,
      response_format: format,
    });
    fc.assert(
      fc.property(request, models, fc.boolean(), ({ fields: more, ...own }, upstreamModel, drop) => {
        const given = { ...more, ...own } as unknown as ChatRequest;
        const before = structuredClone(given);
        const call = { request: given, upstreamModel, maxOutputTokens: 2000, dropUnsupported: drop };
        try {
          const { body } = toAnthropicRequest(call, false);
          expectAnthropicForm(body);
        } catch (error) {
          if (!(error instanceof GatewayError)) throw error;
          expect(error.param).toEqual(expect.any(String));
        }
        expect(given).toEqual(before);
      }),
      { numRuns: 2000 },
    );
  });

  function expectAnthropicForm({ messages }: WireRequest): void {
    messages.forEach(({ role, content }, index) => {
      expect(content.length).toBeGreaterThan(0);
      expect(messages[index + 1]?.role).not.toBe(role);
      if (role === 'system') {
        expect(messages[index - 1]?.role).toBe('user');
        expect(messages[index + 1]?.role ?? 'assistant').toBe('assistant');
      }
      const firstOther = content.findIndex(({ type }) => type !== 'tool_result');
      if (firstOther >= 0)
        expect(content.slice(firstOther).some(({ type }) => type === 'tool_result')).toBe(false);
    });
  }
});
