import { readFileSync } from 'node:fs';
import {
  GatewayError,
  ProviderError,
  type ChatChunk,
  type ChatMessage,
  type ChatRequest,
  type ChatStreamEvent,
  type ProviderCall,
} from '@app/contracts';
import { describe, expect, it } from 'vitest';
import { ChatEventStream } from '../openai-compatible/chat-event-stream.js';
import type { WireObject } from '../openai-compatible/openai-compatible.wire.js';
import { inputItems } from './responses.input.js';
import { toResponsesRequest } from './responses.request.js';
import { responseToCompletion } from './responses.response.js';
import { ResponsesStreamTranslator } from './responses.stream.js';
import { readResponsesUsage } from './responses.usage.js';

const context = { clientModel: 'client-model', requestId: 'req-1' };
const file = (name: string) => readFileSync(new URL(`./fixtures/${name}`, import.meta.url), 'utf8');
const toolsResponse = JSON.parse(file('responses-tools.json')) as WireObject & { output: WireObject[] };

function call(request: Partial<ChatRequest>, more: Partial<ProviderCall> = {}): ProviderCall {
  return {
    request: { model: 'client-model', messages: [{ role: 'user', content: 'Hi' }], ...request },
    upstreamModel: 'gpt-5.6-sol',
    clientModel: 'client-model',
    maxOutputTokens: undefined,
    requestId: 'req-1',
    signal: new AbortController().signal,
    dropUnsupported: false,
    ...more,
  };
}

async function read(
  text: string,
): Promise<{ events: ChatStreamEvent[]; chunks: ChatChunk[]; failure: unknown }> {
  const bytes = new TextEncoder().encode(text);
  async function* body() {
    for (let at = 0; at < bytes.length; at += 41) yield bytes.subarray(at, at + 41);
  }
  const stream = new ChatEventStream(
    body(),
    new ResponsesStreamTranslator(context),
    new AbortController().signal,
  );
  const events: ChatStreamEvent[] = [];
  let failure: unknown;
  try {
    for await (const event of stream) events.push(event);
  } catch (error) {
    failure = error;
  }
  return { events, chunks: events.map((event) => JSON.parse(event.json) as ChatChunk), failure };
}

const sse = (...events: WireObject[]) => events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join('');

describe('the request', () => {
  it('writes the chat request as a response’s', () => {
    const request: Partial<ChatRequest> = {
      temperature: 0.2,
      user: 'u',
      metadata: { a: 'b' },
      prompt_cache_key: 'k',
      reasoning_effort: 'low',
      reasoning: { summary: 'auto' },
      verbosity: 'low',
      response_format: {
        type: 'json_schema',
        json_schema: { name: 'n', strict: true, schema: { type: 'object' } },
      },
      parallel_tool_calls: false,
      tools: [
        {
          type: 'function',
          function: { name: 'f', description: 'd', parameters: { type: 'object' }, strict: true },
        },
        { type: 'function', function: { name: 'g' } },
        {
          type: 'custom',
          custom: { name: 'c', format: { type: 'grammar', grammar: { syntax: 'lark', definition: 'x' } } },
        },
        { type: 'web_search' },
      ],
      tool_choice: { type: 'function', function: { name: 'f' } },
      logprobs: true,
      top_logprobs: 2,
      stream_options: { include_usage: true, include_obfuscation: false },
      something_new: 1,
    };
    expect(toResponsesRequest(call(request, { maxOutputTokens: 99 }), true)).toEqual({
      droppedParams: [],
      body: {
        model: 'gpt-5.6-sol',
        input: [{ role: 'user', content: 'Hi' }],
        temperature: 0.2,
        user: 'u',
        metadata: { a: 'b' },
        prompt_cache_key: 'k',
        something_new: 1,
        parallel_tool_calls: false,
        store: false,
        max_output_tokens: 99,
        reasoning: { summary: 'auto', effort: 'low' },
        text: {
          verbosity: 'low',
          format: { type: 'json_schema', name: 'n', strict: true, schema: { type: 'object' } },
        },
        tools: [
          { type: 'function', name: 'f', description: 'd', parameters: { type: 'object' }, strict: true },
          { type: 'function', name: 'g', parameters: { type: 'object', properties: {} }, strict: false },
          { type: 'custom', name: 'c', format: { type: 'grammar', syntax: 'lark', definition: 'x' } },
          { type: 'web_search' },
        ],
        tool_choice: { type: 'function', name: 'f' },
        include: ['reasoning.encrypted_content', 'message.output_text.logprobs'],
        top_logprobs: 2,
        stream: true,
        stream_options: { include_obfuscation: false },
      },
    });
  });

  it.each([
    ['n', 2],
    ['stop', 'x'],
    ['seed', 0],
    ['frequency_penalty', 1],
    ['logit_bias', { '5': 1 }],
    ['modalities', ['text', 'audio']],
    ['functions', [{ name: 'f' }]],
    // Its answer would be "queued", and the work would be done and billed for nobody.
    ['background', true],
  ])('refuses %s, or drops it', (field, value) => {
    const request = { [field]: value };
    expect(() => toResponsesRequest(call(request), false)).toThrow(GatewayError);
    const { body, droppedParams } = toResponsesRequest(call(request, { dropUnsupported: true }), false);
    expect(droppedParams).toEqual([field]);
    expect(body).not.toHaveProperty(field);
  });

  it.each([
    ['previous_response_id', 'resp_of_somebody_else'],
    ['conversation', { id: 'conv_1' }],
    ['prompt', { id: 'pmpt_1' }],
    ['instructions', 'long ones'],
    ['input', 'more'],
  ])('takes nothing that is not in the messages, which the hold is for: %s', (field, value) => {
    const request = { [field]: value };
    const refusal = expect.objectContaining({ code: 'unsupported_parameter', param: field }) as Error;
    expect(() => toResponsesRequest(call(request), false)).toThrow(refusal);
    const { body, droppedParams } = toResponsesRequest(call(request, { dropUnsupported: true }), false);
    expect(droppedParams).toEqual([field]);
    expect(body).toEqual(toResponsesRequest(call({}), false).body);
  });

  it('searches with the tool when the search field of chat completions says so', () => {
    const approximate = { country: 'DE', city: 'Bonn' };
    const web_search_options = {
      search_context_size: 'low',
      user_location: { type: 'approximate', approximate },
    };
    const { body, droppedParams } = toResponsesRequest(call({ web_search_options }), false);
    expect(body.tools).toEqual([
      {
        type: 'web_search',
        search_context_size: 'low',
        user_location: { type: 'approximate', ...approximate },
      },
    ]);
    expect(body).not.toHaveProperty('web_search_options');
    expect(droppedParams).toEqual([]);
    const named = { web_search_options: { type: 'code_interpreter' } };
    for (const request of [
      { web_search_options: {} },
      named,
      { ...named, tools: [{ type: 'web_search' }] },
    ]) {
      expect(toResponsesRequest(call(request), false).body.tools).toEqual([{ type: 'web_search' }]);
    }
  });

  it('chooses and formats by the outer type', () => {
    const type = 'image_generation';
    const { body } = toResponsesRequest(
      call({
        tools: [{ type: 'function', function: { name: 'f', type } as never }],
        tool_choice: { type: 'function', function: { name: 'f', type } } as never,
        response_format: { type: 'json_schema', json_schema: { name: 'n', type } } as never,
      }),
      false,
    );
    expect(body).toMatchObject({
      tool_choice: { type: 'function', name: 'f' },
      text: { format: { type: 'json_schema', name: 'n' } },
      tools: [{ type: 'function', name: 'f' }],
    });
    const allowed = { mode: 'auto', type, tools: [{ type: 'custom', custom: { name: 'c', type } }] };
    const choice = { type: 'allowed_tools', allowed_tools: allowed } as never;
    const tools = [{ type: 'custom', custom: { name: 'c' } }] as never;
    expect(toResponsesRequest(call({ tools, tool_choice: choice }), false).body.tool_choice).toEqual({
      type: 'allowed_tools',
      mode: 'auto',
      tools: [{ type: 'custom', name: 'c' }],
    });
  });

  it('keeps refusals among the parts of an earlier turn, and custom tools among those that are allowed', () => {
    expect(inputItems([{ role: 'assistant', content: [{ type: 'refusal', refusal: 'I cannot.' }] }])).toEqual(
      [{ type: 'message', role: 'assistant', content: [{ type: 'refusal', refusal: 'I cannot.' }] }],
    );
    const { body } = toResponsesRequest(
      call({
        tools: [{ type: 'custom', custom: { name: 'c' } }],
        tool_choice: {
          type: 'allowed_tools',
          allowed_tools: { mode: 'auto', tools: [{ type: 'custom', custom: { name: 'c' } }] },
        },
      }),
      false,
    );
    expect(body.tool_choice).toEqual({
      type: 'allowed_tools',
      mode: 'auto',
      tools: [{ type: 'custom', name: 'c' }],
    });
  });

  it('takes fields that say what is so anyway', () => {
    const request = {
      n: 1,
      stop: null,
      frequency_penalty: 0,
      presence_penalty: 0,
      logit_bias: {},
      modalities: ['text'],
    };
    expect(toResponsesRequest(call(request), false).droppedParams).toEqual([]);
  });

  it('writes every kind of message', () => {
    const messages: ChatMessage[] = [
      { role: 'system', content: 'Be brief' },
      { role: 'developer', content: [{ type: 'text', text: 'Really' }] },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'See' },
          { type: 'image_url', image_url: { url: 'https://example.org/a.png', detail: 'low' } },
          { type: 'image_url', image_url: { url: 'data:image/png;base64,AA' } },
          { type: 'file', file: { filename: 'a.pdf', file_data: 'data:application/pdf;base64,AA' } },
        ],
      },
      {
        role: 'assistant',
        content: 'Let me look',
        tool_calls: [
          { id: 'call_1', type: 'function', function: { name: 'f', arguments: '{"a":1}' } },
          { id: 'call_2', type: 'custom', custom: { name: 'c', input: 'x' } } as never,
        ],
      },
      { role: 'tool', tool_call_id: 'call_1', content: '7' },
      { role: 'tool', tool_call_id: 'call_2', content: [{ type: 'text', text: 'y' }] },
      { role: 'assistant', content: null, refusal: 'No' },
    ];
    expect(inputItems(messages)).toEqual([
      { role: 'system', content: 'Be brief' },
      { role: 'developer', content: [{ type: 'input_text', text: 'Really' }] },
      {
        role: 'user',
        content: [
          { type: 'input_text', text: 'See' },
          { type: 'input_image', image_url: 'https://example.org/a.png', detail: 'low' },
          { type: 'input_image', image_url: 'data:image/png;base64,AA', detail: 'auto' },
          { type: 'input_file', filename: 'a.pdf', file_data: 'data:application/pdf;base64,AA' },
        ],
      },
      {
        type: 'message',
        role: 'assistant',
        content: [{ type: 'output_text', text: 'Let me look', annotations: [] }],
      },
      { type: 'function_call', call_id: 'call_1', name: 'f', arguments: '{"a":1}' },
      { type: 'custom_tool_call', call_id: 'call_2', name: 'c', input: 'x' },
      { type: 'function_call_output', call_id: 'call_1', output: '7' },
      { type: 'custom_tool_call_output', call_id: 'call_2', output: [{ type: 'input_text', text: 'y' }] },
      { type: 'message', role: 'assistant', content: [{ type: 'refusal', refusal: 'No' }] },
    ]);
  });

  it('writes the speaker before what he says, as there are no names', () => {
    const image = { type: 'image_url', image_url: { url: 'https://example.org/a.png' } };
    const sent = (content: ChatMessage['content']) => {
      const [item] = inputItems([{ role: 'user', name: 'Ann', content: content ?? null }]);
      return item?.content;
    };
    expect(sent('Hi')).toBe('Ann: Hi');
    expect(sent([{ type: 'text', text: 'Hi' }, image])).toMatchObject([{ text: 'Ann: Hi' }, {}]);
    expect(sent([image])).toMatchObject([{ type: 'input_text', text: 'Ann:' }, { type: 'input_image' }]);
  });

  it('keeps what stands beside a part: where OpenAI is to write its cache', () => {
    const mark = { prompt_cache_breakpoint: { mode: 'explicit' } };
    const content = [
      { type: 'text', text: 'See', ...mark },
      { type: 'image_url', image_url: { url: 'https://example.org/a.png' }, ...mark },
      { type: 'file', file: { file_id: 'file-1' }, ...mark },
    ];
    const output = [
      { type: 'input_text', text: 'See', ...mark },
      { type: 'input_image', image_url: 'https://example.org/a.png', detail: 'auto', ...mark },
      { type: 'input_file', file_id: 'file-1', ...mark },
    ];
    expect(inputItems([{ role: 'user', content }])).toEqual([{ role: 'user', content: output }]);
    const result = { role: 'tool', tool_call_id: 'call_1', content: content.slice(0, 1) } as const;
    expect(inputItems([result])).toMatchObject([{ output: output.slice(0, 1) }]);
  });

  it.each([
    [
      { role: 'user', content: [{ type: 'input_audio', input_audio: { data: 'AA', format: 'wav' } }] },
      'content[0]',
    ],
    [{ role: 'function', name: 'f', content: 'x' }, 'messages[0].role'],
    [
      { role: 'assistant', content: null, function_call: { name: 'f', arguments: '{}' } },
      'messages[0].function_call',
    ],
    [{ role: 'assistant', content: null, audio: { id: 'audio_1' } }, 'messages[0].audio'],
    [{ role: 'assistant', content: 'a', images: [{ type: 'image_url' }] }, 'messages[0].images'],
    [
      {
        role: 'assistant',
        content: [{ type: 'image_url', image_url: { url: 'https://example.org/a.png' } }],
      },
      'messages[0].content[0].type',
    ],
  ])('says what it has no place for, or leaves it out: %j', (message, param) => {
    const messages = [{ role: 'user', content: 'Hi' }, message] as ChatMessage[];
    const dropping = toResponsesRequest(call({ messages }, { dropUnsupported: true }), false);
    expect(dropping.droppedParams).toEqual([expect.stringContaining(param.replace(/^.*?]\.?/, ''))]);
    expect(JSON.stringify(dropping.body.input)).not.toMatch(/audio|function|image/);
    const attempt = () => inputItems([message as ChatMessage]);
    expect(attempt).toThrow(GatewayError);
    try {
      attempt();
    } catch (error) {
      expect((error as GatewayError).param).toContain(param);
    }
  });
});

describe('the answer', () => {
  const completion = responseToCompletion(structuredClone(toolsResponse), context);
  const [choice] = completion.choices;

  it('has text, reasoning, calls and usage', () => {
    expect(completion).toMatchObject({
      id: 'resp_01',
      object: 'chat.completion',
      created: 1790000100,
      model: 'client-model',
      service_tier: 'default',
      usage: {
        prompt_tokens: 120,
        completion_tokens: 90,
        total_tokens: 210,
        prompt_tokens_details: { cached_tokens: 64, cache_write_tokens: 8 },
        completion_tokens_details: { reasoning_tokens: 50 },
      },
    });
    expect(choice).toMatchObject({
      finish_reason: 'tool_calls',
      message: {
        content: 'Looking both up: “é”.',
        refusal: null,
        reasoning_content: '**Plan** two calls\n\nThen answer',
        tool_calls: [
          { id: 'call_1', type: 'function', function: { name: 'weather', arguments: '{"city":"Rome"}' } },
          { id: 'call_2', type: 'function', function: { name: 'now', arguments: '{}' } },
        ],
      },
    });
  });

  it('comes back item for item, byte for byte, on the next turn', () => {
    const replayed = inputItems([choice!.message as ChatMessage]);
    const sent = toolsResponse.output.map((item) =>
      item.type === 'message'
        ? { ...item, content: [{ type: 'output_text', text: 'Looking both up: “é”.', annotations: [] }] }
        : item,
    );
    expect(replayed).toEqual(sent);
    const inParts = [{ type: 'text', text: choice!.message.content ?? '' }];
    expect(inputItems([{ ...choice!.message, content: inParts } as ChatMessage])).toEqual(sent);
    expect(JSON.stringify(choice?.message.provider_specific_fields)).not.toContain('Looking');
  });

  it.each([
    ['an edited text', { content: 'Something else' }],
    [
      'a call left out',
      { tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'weather', arguments: '{}' } }] },
    ],
    [
      'other calls',
      {
        tool_calls: ['call_8', 'call_9'].map((id) => ({
          id,
          type: 'function',
          function: { name: 'weather', arguments: '{}' },
        })),
      },
    ],
    ['nonsense', { provider_specific_fields: { response_output: ['x'] } }],
    [
      'a call whose id is no text',
      {
        content: null,
        provider_specific_fields: {
          response_output: ['1', '2'].map((id) => ({ type: 'function_call', id, call_id: { toString: 1 } })),
        },
      },
    ],
  ])('stands alone with %s', (_name, change) => {
    const items = inputItems([{ ...choice!.message, ...change } as ChatMessage]);
    expect(items.some((item) => item.type === 'reasoning')).toBe(false);
    expect(items.some((item) => item.type === 'function_call')).toBe(true);
  });

  const carrying = (...items: WireObject[]) =>
    ({
      role: 'assistant',
      content: null,
      provider_specific_fields: { response_output: items },
    }) as ChatMessage;
  const REPLAYED_AT = 'messages[0].provider_specific_fields.response_output[0]';

  it.each<WireObject>([
    { type: 'item_reference', id: 'msg_of_somebody_else' },
    { id: 'msg_of_somebody_else' },
    { type: null, id: 'msg_of_somebody_else' },
    { type: 'constructor', id: 'x' },
    // What OpenAI would look up by its id.
    { type: 'reasoning', id: 'rs_of_somebody_else', summary: [] },
    { type: 'reasoning', id: 'rs_of_somebody_else', summary: [], encrypted_content: '' },
    { type: 'compaction', id: 'cmp_of_somebody_else' },
    { type: 'image_generation_call', id: 'ig_of_somebody_else', status: 'completed', result: null },
    { type: 'web_search_call', id: 'ws_of_somebody_else', status: 'completed' },
    // What only clients say, and where nobody has looked for files or tools.
    { type: 'function_call_output', call_id: 'c', output: [{ type: 'input_file', file_id: 'file-1' }] },
    { type: 'computer_call_output', call_id: 'c', output: { type: 'computer_screenshot', file_id: 'f' } },
    { type: 'additional_tools', role: 'developer', tools: [{ type: 'web_search' }] },
    { type: 'tool_search_output', call_id: null, tools: [{ type: 'web_search' }] },
  ])('takes no item back that was in no answer, or is only named: %j', (item) => {
    const messages = [carrying(item), { role: 'user', content: 'Go on' } as ChatMessage];
    const refusal = expect.objectContaining({ code: 'unsupported_parameter', param: REPLAYED_AT }) as Error;
    expect(() => toResponsesRequest(call({ messages }), false)).toThrow(refusal);
    const { body, droppedParams } = toResponsesRequest(call({ messages }, { dropUnsupported: true }), false);
    expect(droppedParams).toEqual([REPLAYED_AT]);
    expect(body.input).toEqual([{ role: 'user', content: 'Go on' }]);
  });

  it('hands out no items that it would not take back', () => {
    const known = { type: 'web_search_call', id: 'ws_1', status: 'completed', action: { type: 'search' } };
    const carriedOf = (...output: WireObject[]) =>
      responseToCompletion({ ...toolsResponse, output }, context).choices[0]?.message
        .provider_specific_fields;
    expect(carriedOf(known)).toEqual({ response_output: [known] });
    for (const other of [
      { type: 'call_of_tomorrow', id: 'x_1' },
      { type: 'reasoning', id: 'rs_1', summary: [] },
    ])
      expect(carriedOf(other, known)).toBeUndefined();
  });

  it.each<WireObject>([
    { type: 'reasoning', id: 'rs_1', summary: [], encrypted_content: 'gAAAA' },
    { type: 'compaction', id: 'cmp_1', encrypted_content: 'gAAAA' },
    { type: 'file_search_call', id: 'fs_1', status: 'completed', queries: ['q'], results: null },
    { type: 'code_interpreter_call', id: 'ci_1', status: 'completed', code: null, container_id: 'cntr_1' },
    { type: 'computer_call', id: 'cu_1', call_id: 'c', pending_safety_checks: [], status: 'completed' },
    { type: 'image_generation_call', id: 'ig_1', status: 'completed', result: 'iVBOR' },
    { type: 'mcp_list_tools', id: 'mcpl_1', server_label: 's', tools: [] },
    { type: 'mcp_approval_request', id: 'mcpr_1', server_label: 's', name: 'n', arguments: '{}' },
    { type: 'mcp_call', id: 'mcp_1', server_label: 's', name: 'n', arguments: '{}', output: 'x' },
    { type: 'local_shell_call', id: 'lsh_1', call_id: 'c', action: { type: 'exec', command: ['ls'] } },
    { type: 'shell_call', id: 'sh_1', call_id: 'c', action: { commands: ['ls'] }, environment: null },
    { type: 'shell_call_output', id: 'sho_1', call_id: 'c', max_output_length: null, output: [] },
    { type: 'apply_patch_call', id: 'apc_1', call_id: 'c', operation: { type: 'create_file' } },
    { type: 'tool_search_call', id: 'tsc_1', call_id: null, execution: 'server', arguments: {} },
    { type: 'tool_search_output', id: 'tso_1', call_id: null, tools: [{ type: 'function', name: 'f' }] },
    { type: 'program', id: 'prog_1', call_id: 'c', code: 'x', fingerprint: 'f' },
    { type: 'program_output', id: 'pro_1', call_id: 'c', result: 'x', status: 'completed' },
  ])('brings every kind of item that answers have back as it was: %j', (item) => {
    const { message } = responseToCompletion({ ...toolsResponse, output: [item] }, context).choices[0]!;
    expect(inputItems([message as ChatMessage])).toEqual([item]);
  });

  it.each<WireObject>([
    { type: 'function_call', id: 'fc_1', call_id: 'c', name: 'f', arguments: '{}' },
    { type: 'custom_tool_call', id: 'ctc_1', call_id: 'c', name: 'f', input: 'x' },
  ])('brings what a call has beside itself back, and names its caller with the result: %j', (item) => {
    const caller = { type: 'program', caller_id: 'call_p' };
    const asked = (more: WireObject) => {
      const output = [{ ...item, ...more }];
      const { message } = responseToCompletion({ ...toolsResponse, output }, context).choices[0]!;
      return inputItems([message as ChatMessage, { role: 'tool', tool_call_id: 'c', content: '7' }]);
    };
    const result = { type: `${String(item.type)}_output`, call_id: 'c', output: '7' };
    expect(asked({ caller })).toEqual([
      { ...item, caller },
      { ...result, caller },
    ]);
    for (const more of [{ namespace: 'n' }, { async: true }])
      expect(asked(more)).toEqual([{ ...item, ...more }, result]);
    const { id: _id, ...plain } = item;
    expect(asked({ caller: { type: 'direct' }, async: false })).toEqual([plain, result]);
  });

  it('brings no reasoning back that was cut: OpenAI takes none without what it led to', async () => {
    const reasoning = { type: 'reasoning', id: 'rs_1', summary: [], encrypted_content: 'gAAAA' };
    const search = { type: 'web_search_call', id: 'ws_1', status: 'completed', action: { type: 'search' } };
    for (const [output, carried] of [
      [[reasoning], undefined],
      [[reasoning, search, { ...reasoning, id: 'rs_2' }], { response_output: [reasoning, search] }],
    ] as const) {
      const response = { ...toolsResponse, status: 'incomplete', output };
      const whole = responseToCompletion(response, context).choices[0];
      const { chunks } = await read(sse({ type: 'response.incomplete', response }));
      const streamed = chunks.map((chunk) => chunk.choices[0]?.delta.provider_specific_fields);
      expect([whole?.finish_reason, whole?.message.provider_specific_fields]).toEqual(['length', carried]);
      expect(streamed.find(Boolean)).toEqual(carried);
    }
  });

  it.each([
    [{ status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } }, 'length'],
    [{ status: 'incomplete', incomplete_details: { reason: 'content_filter' } }, 'content_filter'],
    [{ status: 'completed', output: [] }, 'stop'],
  ])('ends as %j with %s', (change, reason) => {
    expect(responseToCompletion({ ...toolsResponse, ...change }, context).choices[0]?.finish_reason).toBe(
      reason,
    );
  });

  it('keeps the phase of what was said, whatever else there is, and nothing of an answer that was refused', () => {
    const carriedOf = (...output: WireObject[]) =>
      responseToCompletion({ status: 'completed', output }, context).choices[0]?.message
        .provider_specific_fields?.response_output;
    const said = { type: 'message', id: 'm', content: [{ type: 'output_text', text: 'ab' }] };
    const custom = { type: 'custom_tool_call', id: 'c', call_id: 'call_1', name: 'sql', input: 'select 1' };
    const reasoning = { type: 'reasoning', id: 'r', summary: [], encrypted_content: 'x' };
    const refused = { type: 'message', id: 'm', content: [{ type: 'refusal', refusal: 'No.' }] };
    expect(carriedOf(said)).toBeUndefined();
    expect(carriedOf({ ...said, phase: 'commentary' }, custom)).toEqual([
      { type: 'message', id: 'm', phase: 'commentary', text_length: 2 },
      { type: 'custom_tool_call', id: 'c', call_id: 'call_1' },
    ]);
    expect(carriedOf(reasoning, refused)).toBeUndefined();
  });

  it('keeps refusals, citations, custom calls and log probabilities', () => {
    const logprob = { token: 'a', logprob: -0.1, bytes: [97], top_logprobs: [] };
    const output = [
      { type: 'web_search_call', id: 'ws_1', status: 'completed', action: { type: 'search' } },
      { type: 'web_search_call', id: 'ws_2', status: 'completed', action: { type: 'open_page' } },
      {
        type: 'message',
        id: 'msg_1',
        content: [
          {
            type: 'output_text',
            text: 'a',
            logprobs: [logprob],
            annotations: [
              { type: 'url_citation', url: 'https://example.org', start_index: 0, end_index: 1, title: 'T' },
            ],
          },
        ],
      },
      { type: 'custom_tool_call', id: 'ctc_1', call_id: 'call_9', name: 'c', input: 'x' },
    ];
    const answered = responseToCompletion({ ...toolsResponse, output }, context);
    expect(answered.choices[0]).toMatchObject({
      logprobs: { content: [logprob] },
      message: {
        annotations: [
          {
            type: 'url_citation',
            url_citation: { url: 'https://example.org', start_index: 0, end_index: 1, title: 'T' },
          },
        ],
        tool_calls: [{ id: 'call_9', type: 'custom', custom: { name: 'c', input: 'x' } }],
        provider_specific_fields: {
          response_output: [{ id: 'ws_1' }, { id: 'ws_2' }, { text_length: 1 }, { id: 'ctc_1' }],
        },
      },
    });
    expect(readResponsesUsage(toolsResponse.usage, output)?.serverToolCalls).toEqual({ web_search: 1 });
    const refused = { type: 'message', content: [{ type: 'refusal', refusal: 'No' }] };
    expect(
      responseToCompletion({ ...toolsResponse, output: [refused] }, context).choices[0]?.message,
    ).toEqual({
      role: 'assistant',
      content: null,
      refusal: 'No',
    });
  });

  it.each([
    [{ status: 'failed', error: { code: 'server_error', message: 'x' } }, 'provider_bad_response'],
    [{ status: 'failed', error: { code: 'rate_limit_exceeded', message: 'x' } }, 'provider_rate_limited'],
    [{ status: 'failed', error: { code: 'invalid_prompt', message: 'x' } }, 'provider_rejected'],
    [
      { status: 'failed', error: { code: 'context_length_exceeded', message: 'too long' } },
      'context_length_exceeded',
    ],
    [
      { status: 'failed', error: { code: 'misalignment_policy_violation', message: 'x' } },
      'provider_rejected',
    ],
    [{ status: 'failed', error: { code: 'slow_down', message: 'x' } }, 'provider_overloaded'],
    [{ status: 'cancelled' }, 'provider_bad_response'],
    [{ status: 'queued' }, 'provider_bad_response'],
    [{ status: { toString: 1 } }, 'provider_bad_response'],
    [{ output: undefined }, 'provider_bad_response'],
    [{ output: undefined, error: { message: 'x', code: 401 } }, 'provider_auth_failed'],
  ])('is a failure when it is %j', (change, code) => {
    const body: WireObject = { ...toolsResponse, ...change };
    const attempt = () => responseToCompletion(body, context);
    expect(attempt).toThrow(ProviderError);
    try {
      attempt();
    } catch (error) {
      expect((error as ProviderError).code).toBe(code);
    }
  });
});

describe('usage', () => {
  const block = { input_tokens: 5, output_tokens: 7, total_tokens: 12 };
  const searches = [{ type: 'web_search_call', action: { type: 'search' } }];

  it('counts searches as OpenAI bills them, where it says so', () => {
    const billed = (requests: unknown) =>
      readResponsesUsage(block, searches, { web_search: { num_requests: requests } })?.serverToolCalls;
    expect(readResponsesUsage(block, searches)?.serverToolCalls).toEqual({ web_search: 1 });
    expect(billed(3)).toEqual({ web_search: 3 });
    expect(billed(0)).toBeUndefined();
    expect(billed('x')).toEqual({ web_search: 1 });
  });

  it('counts pictures, and containers however often code ran in them', () => {
    const ran = (id: string) => ({ type: 'code_interpreter_call', container_id: id });
    const output = [ran('cntr_1'), ran('cntr_1'), ran('cntr_2'), { type: 'image_generation_call' }];
    expect(readResponsesUsage(block, output)?.serverToolCalls).toEqual({
      image_generation: 1,
      code_execution: 2,
    });
  });

  it('is the sum of as many calls of the model as it had turns with tools; calls in a row are one turn', () => {
    const calls = (...types: string[]) =>
      readResponsesUsage(
        block,
        types.map((type) => ({ type, action: { type: 'open_page' } })),
      )?.modelCalls;
    expect(calls('message', 'function_call', 'reasoning')).toBeUndefined();
    expect(calls('web_search_call', 'web_search_call', 'message')).toBe(2);
    expect(calls('web_search_call', 'reasoning', 'web_search_call', 'message')).toBe(3);
    expect(calls('code_interpreter_call', 'mcp_call', 'file_search_call')).toBe(2);
  });

  it('is told by the whole answer and by the stream alike', async () => {
    const response = {
      id: 'resp_1',
      status: 'completed',
      output: searches,
      usage: block,
      tool_usage: { web_search: { num_requests: 2 } },
    };
    const { events } = await read(sse({ type: 'response.completed', response }));
    expect(events.at(-1)?.usage?.serverToolCalls).toEqual({ web_search: 2 });
  });
});

describe('the stream', () => {
  it('says what the whole answer says', async () => {
    const { events, chunks, failure } = await read(file('responses-tools.sse'));
    expect(failure).toBeUndefined();
    const whole = responseToCompletion(structuredClone(toolsResponse), context).choices[0]!.message;
    const deltas = chunks.flatMap((chunk) => chunk.choices).map((choice) => choice.delta);
    const joined = (key: 'content' | 'reasoning_content') => deltas.map((delta) => delta[key] ?? '').join('');
    expect([joined('content'), joined('reasoning_content')]).toEqual([
      whole.content,
      whole.reasoning_content,
    ]);
    const pieces = deltas.flatMap((delta) => delta.tool_calls ?? []);
    const called = [0, 1].map((index) => pieces.filter((piece) => piece.index === index));
    expect(
      called.map((list) => ({
        id: list[0]?.id,
        type: list[0]?.type,
        function: {
          name: list[0]?.function?.name,
          arguments: list.map((piece) => piece.function?.arguments ?? '').join(''),
        },
      })),
    ).toEqual(whole.tool_calls);
    expect(deltas.findLast((delta) => delta.provider_specific_fields)?.provider_specific_fields).toEqual(
      whole.provider_specific_fields,
    );
    expect(deltas.filter((delta) => delta.role)).toHaveLength(1);
    expect(events.map((event) => event.finishReason).filter(Boolean)).toEqual(['tool_calls']);
    expect(events.at(-1)).toMatchObject({
      usageOnly: true,
      usage: { inputTokens: 120, outputTokens: 90, reasoningOutputTokens: 50, cacheReadInputTokens: 64 },
    });
    expect(events.map((event) => event.outputText).join('')).toBe(
      '**Plan** two calls\n\nThen answerLooking both up: “é”.weather{"city":"Rome"}now{}',
    );
    for (const chunk of chunks) {
      expect(chunk).toMatchObject({
        id: 'resp_01',
        object: 'chat.completion.chunk',
        model: 'client-model',
        created: 1790000100,
      });
    }
  });

  it('tells at the end what came in no delta that is known', async () => {
    const call = { type: 'function_call', id: 'fc_1', call_id: 'call_1', name: 'f', arguments: '{"a":1}' };
    const message = { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'abc' }] };
    const response = { id: 'resp_1', status: 'completed', output: [message, call] };
    const done = { type: 'response.completed', response };
    const told = [
      { type: 'response.output_text.delta', delta: 'a' },
      { type: 'response.output_item.added', item: { ...call, arguments: '' } },
      { type: 'response.function_call_arguments.delta', item_id: 'fc_1', delta: '{"a"' },
    ];
    for (const before of [[], told.slice(0, 1), told.slice(0, 2), told]) {
      const { chunks, events } = await read(sse(...before, done));
      const deltas = chunks.flatMap(({ choices }) => choices).map(({ delta }) => delta);
      const pieces = deltas.flatMap(({ tool_calls: calls = [] }) => calls);
      expect(deltas.map(({ content }) => content ?? '').join('')).toBe('abc');
      expect(pieces.map((piece) => piece.function?.arguments ?? '').join('')).toBe('{"a":1}');
      expect(pieces.filter(({ id }) => id === 'call_1')).toHaveLength(1);
      expect(events.map(({ outputText }) => outputText).join('').length).toBe('abcf{"a":1}'.length);
    }
  });

  it('tells a call of a custom tool as it comes', async () => {
    const item = { type: 'custom_tool_call', id: 'ctc_1', call_id: 'call_1', name: 'sql', input: '' };
    const response = { id: 'resp_1', status: 'completed', output: [{ ...item, input: 'select 1' }] };
    const { chunks, events } = await read(
      sse(
        { type: 'response.output_item.added', item },
        { type: 'response.custom_tool_call_input.delta', item_id: 'ctc_1', delta: 'select' },
        { type: 'response.custom_tool_call_input.delta', item_id: 'ctc_1', delta: ' 1' },
        { type: 'response.completed', response },
      ),
    );
    expect(chunks.flatMap(({ choices }) => choices.flatMap(({ delta }) => delta.tool_calls ?? []))).toEqual([
      { index: 0, id: 'call_1', type: 'custom', custom: { name: 'sql', input: '' } },
      { index: 0, custom: { input: 'select' } },
      { index: 0, custom: { input: ' 1' } },
    ]);
    expect(events.map(({ outputText }) => outputText).join('')).toBe('sqlselect 1');
    expect(events.map(({ finishReason }) => finishReason).filter(Boolean)).toEqual(['tool_calls']);
  });

  it('ends in a call that the end does not tell again, and in a stop where there was none', async () => {
    const item = { type: 'function_call', id: 'fc_1', call_id: 'call_1', name: 'f', arguments: '' };
    const done = { type: 'response.completed', response: { id: 'r', status: 'completed', output: [] } };
    const finishOf = async (...before: WireObject[]) =>
      (await read(sse(...before, done))).events.map(({ finishReason }) => finishReason).filter(Boolean);
    expect(await finishOf({ type: 'response.output_item.added', item })).toEqual(['tool_calls']);
    expect(await finishOf({ type: 'response.output_text.delta', delta: 'a' })).toEqual(['stop']);
  });

  it.each([
    ['told of on their way, too', true],
    ['told of at the end only', false],
  ])(
    'counts the places of citations in the text of all parts, as the whole answer does: %s',
    async (_when, areTold) => {
      const cited = (text: string) => ({
        type: 'output_text',
        text,
        annotations: [
          { type: 'url_citation', url: 'https://e.org', title: 'E', start_index: 0, end_index: 2 },
        ],
      });
      const output = [
        { type: 'message', id: 'm1', phase: 'commentary', content: [cited('ab')] },
        { type: 'message', id: 'm2', phase: 'final_answer', content: [cited('cde'), cited('fg')] },
      ];
      const response = { id: 'resp_1', status: 'completed', output };
      const events = output.flatMap(({ id, content }) =>
        content.flatMap(({ text, annotations }, content_index) => [
          { type: 'response.output_text.delta', item_id: id, content_index, delta: text.slice(0, 1) },
          { type: 'response.output_text.delta', item_id: id, content_index, delta: text.slice(1) },
          ...(areTold
            ? [
                {
                  type: 'response.output_text.annotation.added',
                  item_id: id,
                  content_index,
                  annotation: annotations[0],
                },
              ]
            : []),
        ]),
      );
      const { chunks } = await read(sse(...events, { type: 'response.completed', response }));
      const told = chunks.flatMap(({ choices }) => (choices[0]?.delta.annotations ?? []) as WireObject[]);
      const { message } = responseToCompletion(structuredClone(response), context).choices[0]!;
      expect(told).toEqual(message.annotations);
      // The official SDKs cannot join several lists.
      const lists = chunks.flatMap(({ choices }) => choices.filter(({ delta }) => delta.annotations));
      expect(lists).toHaveLength(1);
      const places = told.map(
        (citation) => citation.url_citation as { start_index: number; end_index: number },
      );
      expect(places.map((at) => message.content?.slice(at.start_index, at.end_index))).toEqual([
        'ab',
        'cd',
        'fg',
      ]);
    },
  );

  it('names the tier that has served, which is known at the end', async () => {
    const asked = { id: 'resp_1', created_at: 5, service_tier: 'auto' };
    const usage = { input_tokens: 1, output_tokens: 1, total_tokens: 2 };
    const served = { ...asked, service_tier: 'default', status: 'completed', output: [], usage };
    const { chunks } = await read(
      sse(
        { type: 'response.created', response: asked },
        { type: 'response.output_text.delta', delta: 'a' },
        { type: 'response.completed', response: { ...served, id: undefined, created_at: undefined } },
      ),
    );
    expect(chunks.map(({ id, created, service_tier }) => [id, created, service_tier])).toEqual([
      ['resp_1', 5, 'auto'],
      ['resp_1', 5, 'default'],
      ['resp_1', 5, 'default'],
    ]);
  });

  it('takes the places of its reasoning for what they are, texts or not', async () => {
    const delta = (id: unknown, text: string) => ({
      type: 'response.reasoning_summary_text.delta',
      item_id: id,
      summary_index: 0,
      delta: text,
    });
    const { chunks } = await read(
      sse(delta({ toString: 1 }, 'a'), delta({ toString: 1 }, 'b'), delta('rs_1', 'c')),
    );
    const deltas = chunks.map((chunk) => chunk.choices[0]?.delta ?? {});
    expect(deltas.map(({ reasoning_content }) => reasoning_content ?? '').join('')).toBe('ab\n\nc');
  });

  it('tells at the end a refusal and reasoning that came in no delta', async () => {
    const output = [
      { type: 'reasoning', summary: [{ type: 'summary_text', text: 'Hm' }] },
      { type: 'message', content: [{ type: 'refusal', refusal: 'I cannot.' }] },
    ];
    const done = { type: 'response.completed', response: { id: 'resp_1', status: 'completed', output } };
    const begun = { type: 'response.refusal.delta', delta: 'I can' };
    for (const before of [[], [begun]]) {
      const { chunks } = await read(sse(...before, done));
      const deltas = chunks.flatMap(({ choices }) => choices).map(({ delta }) => delta);
      expect(deltas.map(({ refusal }) => refusal ?? '').join('')).toBe('I cannot.');
      expect(deltas.map(({ reasoning_content }) => reasoning_content ?? '').join('')).toBe('Hm');
    }
  });

  it('never looks complete when it was cut', async () => {
    const whole = file('responses-tools.sse');
    const end = whole.indexOf('event: response.completed');
    for (const at of [0, 300, Math.floor(end / 2), end]) {
      expect((await read(whole.slice(0, at))).failure).toMatchObject({
        code: 'provider_bad_response',
        processed: 'unknown',
      });
    }
  });

  it('fails as the response fails', async () => {
    const created = { type: 'response.created', response: { id: 'resp_1', created_at: 5 } };
    const failed = {
      type: 'response.failed',
      response: { status: 'failed', error: { code: 'rate_limit_exceeded', message: 'x' } },
    };
    const begun = { type: 'response.output_text.delta', delta: 'a' };
    expect((await read(sse(created, failed))).failure).toMatchObject({
      code: 'provider_rate_limited',
      processed: 'no',
    });
    expect((await read(sse(created, begun, failed))).failure).toMatchObject({ processed: 'unknown' });
    const error = { type: 'error', code: 'server_error', message: 'broken', param: null };
    expect((await read(`event: error\n${sse(error)}`)).failure).toMatchObject({ message: 'broken' });
    const clientsFault = { type: 'error', code: 'invalid_prompt', message: 'no', param: null };
    expect((await read(`event: error\n${sse(clientsFault)}`)).failure).toMatchObject({
      code: 'provider_rejected',
      countsAsFailure: false,
    });
    expect((await read(sse(created, begun, error))).failure).toMatchObject({
      message: 'broken',
      processed: 'unknown',
    });
  });
});
