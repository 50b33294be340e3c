import { mintToken, ownGateway } from '@app/testing';
import OpenAI from 'openai';
import { beforeAll, describe, expect, it } from 'vitest';

const THINKING = [
  { type: 'thinking', thinking: 'Weather: ask.', signature: 'c2lnbmF0dXJlIDE=' },
  { type: 'redacted_thinking', data: 'b3BhcXVl' },
];
const CALL = { type: 'tool_use', id: 'toolu_01', name: 'weather', input: { city: 'Paris' } };
const SOURCE = { type: 'web_search_result_location', cited_text: 'sunny', encrypted_index: 'x' };
const PAGES = ['https://a.example/', 'https://b.example/'];
const TOOLS = [
  {
    type: 'function' as const,
    function: { name: 'weather', parameters: { type: 'object', properties: { city: { type: 'string' } } } },
  },
];

type Deltas = readonly object[];

/** A stream of Anthropic of these blocks, each with what is told of it in deltas. */
function streamOf(stopReason: string, blocks: readonly (readonly [start: object, deltas: Deltas])[]): string {
  const message = { id: 'msg_01', type: 'message', role: 'assistant', model: 'claude', content: [] };
  const events = [
    { type: 'message_start', message: { ...message, usage: { input_tokens: 10, output_tokens: 1 } } },
    ...blocks.flatMap(([content_block, deltas], index) => [
      { type: 'content_block_start', index, content_block },
      ...deltas.map((delta) => ({ type: 'content_block_delta', index, delta })),
      { type: 'content_block_stop', index },
    ]),
    { type: 'message_delta', delta: { stop_reason: stopReason }, usage: { output_tokens: 30 } },
    { type: 'message_stop' },
  ];
  return events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join('');
}

/** openai-node puts a stream together by setting fields that it does not know: what comes twice is there once. */
describe('what the stream of the official SDK adds up to', () => {
  const own = ownGateway();
  let openai: OpenAI;

  beforeAll(() => {
    const apiKey = mintToken({ sub: 'alice' });
    openai = new OpenAI({ baseURL: `${own.gateway.url}/v1`, apiKey, maxRetries: 0 });
  });

  const request = {
    model: 'claude-sonnet-4-5',
    messages: [{ role: 'user' as const, content: 'Weather?' }],
    tools: TOOLS,
  };

  it('has the blocks of thinking that the next turn must begin with', async () => {
    const [{ thinking, signature }, redacted] = THINKING as [{ thinking: string; signature: string }, object];
    const sse = streamOf('tool_use', [
      [
        { type: 'thinking', thinking: '', signature: '' },
        [
          { type: 'thinking_delta', thinking },
          { type: 'signature_delta', signature },
        ],
      ],
      [redacted, []],
      [{ ...CALL, input: {} }, [{ type: 'input_json_delta', partial_json: JSON.stringify(CALL.input) }]],
    ]);
    await own.upstream.answerNext({ body: { sse } });
    const { message } = (await openai.chat.completions.stream(request).finalChatCompletion()).choices[0]!;
    const result = { role: 'tool' as const, tool_call_id: CALL.id, content: 'sunny' };
    await openai.chat.completions.create({ ...request, messages: [...request.messages, message, result] });
    const [, second] = await own.upstream.completions();
    expect(second?.json).toMatchObject({
      messages: [{ role: 'user' }, { role: 'assistant', content: [...THINKING, CALL] }, { role: 'user' }],
    });
  });

  it('has all the pages that were cited', async () => {
    const cited = (url: string) => [
      { type: 'text_delta', text: 'Sunny. ' },
      { type: 'citations_delta', citation: { ...SOURCE, url, title: url } },
    ];
    const sse = streamOf(
      'end_turn',
      PAGES.map((url) => [{ type: 'text', text: '' }, cited(url)] as const),
    );
    await own.upstream.answerNext({ body: { sse } });
    const { message } = (await openai.chat.completions.stream(request).finalChatCompletion()).choices[0]!;
    const { annotations } = message as OpenAI.ChatCompletionMessage;
    expect(annotations?.map(({ url_citation: { url, start_index } }) => [start_index, url])).toEqual([
      [0, PAGES[0]],
      [7, PAGES[1]],
    ]);
  });

  it('has the JSON that a model without structured outputs was asked for, as the whole answer has', async () => {
    const schema = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
    const asked = {
      model: 'claude-3',
      messages: request.messages,
      response_format: {
        type: 'json_schema' as const,
        json_schema: { name: 'weather', schema, strict: true },
      },
    };
    expect(await openai.models.retrieve('claude-3')).toMatchObject({ capabilities: { json_schema: true } });
    const parsed = (await openai.chat.completions.parse(asked)).choices[0]!;
    expect(parsed).toMatchObject({
      message: { parsed: { city: expect.any(String) } },
      finish_reason: 'stop',
    });
    const streamed = (await openai.chat.completions.stream(asked).finalChatCompletion()).choices[0]!;
    expect(streamed).toMatchObject({ message: { parsed: parsed.message.parsed }, finish_reason: 'stop' });

    const { tool_calls: _none, parsed: _parsed, ...message } = streamed.message;
    await openai.chat.completions.parse({
      ...asked,
      messages: [...asked.messages, message, request.messages[0]!],
    });
    expect((await own.upstream.completions()).at(-1)?.json).toMatchObject({
      messages: [
        { role: 'user' },
        { role: 'assistant', content: [{ type: 'text', text: parsed.message.content }] },
        { role: 'user' },
      ],
    });
    const answered = await fetch(`${own.gateway.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${openai.apiKey}`, 'content-type': 'application/json' },
      body: JSON.stringify({ ...asked, tools: TOOLS }),
    });
    expect(answered.status).toBe(400);
    expect(await answered.json()).toMatchObject({
      error: { code: 'unsupported_parameter', param: 'response_format' },
    });
  });
});
