import {
  type ChatChunk,
  type ChatStreamEvent,
  type ProviderCall,
  type ProviderStrategy,
} from '@app/contracts';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { closeLightFetch, createLightFetch } from '../http/light-fetch.js';
import { ReplayServer, type ReplayedAnswer } from './fixtures/replay-server.js';
import { ANTHROPIC } from './index.js';

const MESSAGE = {
  type: 'message',
  id: 'msg_1',
  role: 'assistant',
  model: 'm',
  content: [{ type: 'text', text: 'hi' }],
  stop_reason: 'end_turn',
  usage: { input_tokens: 3, output_tokens: 2 },
};

const EVENTS = [
  { type: 'message_start', message: { ...MESSAGE, content: [], stop_reason: null } },
  { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
  { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'hi' } },
  { type: 'content_block_stop', index: 0 },
  { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 2 } },
  { type: 'message_stop' },
];

function sse(events: readonly { type: string }[]): Buffer {
  return Buffer.from(
    events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join(''),
  );
}

const server = new ReplayServer();
let fetch: ReturnType<typeof createLightFetch>;
let strategy: ProviderStrategy;

beforeEach(async () => {
  fetch = createLightFetch();
  const settings = { baseUrl: await server.start(), apiKey: 'key-1' };
  strategy = await ANTHROPIC.create(settings, { fetch });
});

afterEach(async () => {
  await closeLightFetch(fetch);
  await server.stop();
});

function answerWith(body: Buffer | string, more: Partial<ReplayedAnswer> = {}): void {
  const headers = { 'content-type': 'application/json', 'request-id': 'req_1' };
  server.answer = { status: 200, headers, body: Buffer.from(body), ...more };
}

function call(fields: Partial<ProviderCall> = {}): ProviderCall {
  return {
    request: { model: 'asked', messages: [{ role: 'user', content: 'hello' }] },
    upstreamModel: 'claude-haiku-4-5-20251001',
    clientModel: 'asked',
    maxOutputTokens: 50,
    requestId: 'r',
    signal: new AbortController().signal,
    dropUnsupported: false,
    ...fields,
  };
}

async function read(events: AsyncIterable<ChatStreamEvent>): Promise<{ texts: string[]; failure: unknown }> {
  const texts: string[] = [];
  try {
    for await (const { json } of events) {
      texts.push((JSON.parse(json) as ChatChunk).choices[0]?.delta.content ?? '');
    }
    return { texts, failure: undefined };
  } catch (failure) {
    return { texts, failure };
  }
}

describe('AnthropicStrategy', () => {
  it('tells of how many turns the usage of a whole answer is the sum', async () => {
    const called = { type: 'mcp_tool_use', id: 'm', name: 'x', server_name: 'y', input: {} };
    answerWith(JSON.stringify({ ...MESSAGE, content: [called, ...MESSAGE.content] }));
    expect((await strategy.complete(call())).usage?.modelCalls).toBe(2);
  });

  it('asks for JSON by a tool where there are no structured outputs, and gives it digit for digit', async () => {
    const input = '{"id":12345678901234567890,"of":["é",1.5]}';
    const block = { type: 'tool_use', id: 'toolu_1', name: 'answer', input: {} };
    const answer = { ...MESSAGE, content: [block], stop_reason: 'tool_use' };
    answerWith(JSON.stringify(answer).replace('"input":{}', `"input":${input}`));
    const schema = { type: 'object', properties: { id: { type: 'integer' } } };
    const response_format = { type: 'json_schema' as const, json_schema: { name: 'x', schema } };
    const request = { ...call().request, response_format };
    const asked = { request, upstreamModel: 'claude-3-7-sonnet-20250219' };
    const { completion, usage } = await strategy.complete(call(asked));
    expect(completion.choices[0]).toMatchObject({ message: { content: input }, finish_reason: 'stop' });
    expect(usage).toEqual({ inputTokens: 3, outputTokens: 2 });
    expect(server.received?.body).toMatchObject({ tools: [{ name: 'answer', input_schema: schema }] });

    const events = [
      EVENTS[0],
      { type: 'content_block_start', index: 0, content_block: block },
      { type: 'content_block_delta', index: 0, delta: { type: 'input_json_delta', partial_json: input } },
      ...EVENTS.slice(3),
    ];
    answerWith(sse(events as typeof EVENTS), { headers: { 'content-type': 'text/event-stream' } });
    const { texts } = await read((await strategy.stream(call(asked))).events);
    expect(texts.join('')).toBe(input);
  });

  it('sends what the API of its version wants, and the key in its header only', async () => {
    answerWith(JSON.stringify(MESSAGE));
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const request = { ...call().request, betas: ['a-1', 'b-2'] };
    const answer = await strategy.complete(call({ request, traceparent }));
    expect(answer).toMatchObject({
      completion: { model: 'asked', choices: [{ message: { content: 'hi' } }] },
      usage: { inputTokens: 3, outputTokens: 2 },
      providerRequestId: 'req_1',
      droppedParams: [],
    });
    expect(server.received).toMatchObject({
      method: 'POST',
      url: '/v1/messages',
      headers: {
        'x-api-key': 'key-1',
        'anthropic-version': '2023-06-01',
        'anthropic-beta': 'a-1,b-2',
        traceparent,
      },
      body: {
        model: 'claude-haiku-4-5-20251001',
        max_tokens: 50,
        messages: [{ role: 'user', content: [{ type: 'text', text: 'hello' }] }],
      },
    });
    const headers = server.received?.headers ?? {};
    expect(headers).not.toHaveProperty('authorization');
    expect(Object.keys(headers).filter((name) => name.startsWith('x-stainless'))).toEqual([]);
    expect(server.received?.body).not.toHaveProperty('stream');
  });

  it('gives the arguments of a call digit for digit', async () => {
    const block = { type: 'tool_use', id: 'toolu_1', name: 'f', input: { id: 'ID' } };
    const body = JSON.stringify({ ...MESSAGE, content: [block] });
    answerWith(body.replace('"ID"', '1234567890123456789'));
    const { completion } = await strategy.complete(call());
    expect(completion.choices[0]?.message.tool_calls?.[0]?.function.arguments).toBe(
      '{"id":1234567890123456789}',
    );
  });

  it('names what it left out', async () => {
    answerWith(JSON.stringify(MESSAGE));
    const request = { ...call().request, seed: 7 };
    await expect(strategy.complete(call({ request }))).rejects.toMatchObject({ param: 'seed' });
    expect(await strategy.complete(call({ request, dropUnsupported: true }))).toMatchObject({
      droppedParams: ['seed'],
    });
  });

  it.each([
    '<html>',
    '{"type":"ping"}',
    '{"type":"message","id":"m","content":[1]}',
    '',
    JSON.stringify({
      type: 'message',
      id: 'm',
      stop_reason: 'tool_use',
      content: Array(10_001).fill({ type: 'tool_use', id: 't', name: 'f', input: {} }),
    }),
  ])('does not take %j for an answer', async (body) => {
    answerWith(body);
    await expect(strategy.complete(call())).rejects.toMatchObject({
      code: 'provider_bad_response',
      processed: 'unknown',
    });
  });

  it('reads an error behind status 200', async () => {
    answerWith('{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}');
    await expect(strategy.complete(call())).rejects.toMatchObject({
      code: 'provider_overloaded',
      processed: 'no',
    });
  });

  it('says that a refused connection did nothing', async () => {
    const unreachable = await ANTHROPIC.create({ baseUrl: 'http://127.0.0.1:9', apiKey: 'k' }, { fetch });
    await expect(unreachable.complete(call())).rejects.toMatchObject({
      code: 'provider_overloaded',
      processed: 'no',
    });
  });

  it('does not repeat a call by itself', async () => {
    let requests = 0;
    const counting: typeof globalThis.fetch = (input, init) => {
      requests += 1;
      return fetch(input, init);
    };
    const counted = await ANTHROPIC.create(
      { baseUrl: `http://${new URL(await here()).host}`, apiKey: 'k' },
      { fetch: counting },
    );
    answerWith('{}', { status: 529 });
    await expect(counted.complete(call())).rejects.toMatchObject({ code: 'provider_overloaded' });
    expect(requests).toBe(1);
  });

  it('probes the list of models', async () => {
    answerWith('{"data":[]}');
    await strategy.probe?.(new AbortController().signal);
    expect(server.received).toMatchObject({ method: 'GET', url: '/v1/models?limit=1' });
    answerWith('{"type":"error","error":{"type":"authentication_error","message":"x"}}', { status: 401 });
    await expect(strategy.probe?.(new AbortController().signal)).rejects.toMatchObject({
      code: 'provider_auth_failed',
    });
  });
});

async function here(): Promise<string> {
  answerWith('{"data":[]}');
  await strategy.probe?.(new AbortController().signal);
  return `http://${server.received?.headers.host}`;
}

describe('a stream', () => {
  it('asks for one, and ends after message_stop though the connection does not', async () => {
    answerWith(sse(EVENTS), { then: 'stall' });
    const { events, providerRequestId } = await strategy.stream(call());
    expect(await read(events)).toEqual({ texts: ['', 'hi', '', ''], failure: undefined });
    expect(providerRequestId).toBe('req_1');
    expect(server.received?.body).toMatchObject({ stream: true });
  });

  it.each(['end', 'destroy'] as const)('never looks complete when it is cut (%s)', async (then) => {
    for (let kept = 0; kept < EVENTS.length; kept += 1) {
      answerWith(sse(EVENTS.slice(0, kept)), { then });
      const { failure } = await read((await strategy.stream(call())).events);
      expect(failure).toMatchObject({ code: 'provider_bad_response', processed: 'unknown' });
    }
  });

  it('gives everything before an error, however the bytes arrive', async () => {
    const error = { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } };
    answerWith(sse([...EVENTS.slice(0, 3), error]));
    const { texts, failure } = await read((await strategy.stream(call())).events);
    expect(texts).toEqual(['', 'hi']);
    expect(failure).toMatchObject({ code: 'provider_overloaded', processed: 'unknown' });
  });

  it('does not take broken JSON for an event', async () => {
    answerWith('data: {"type":"message_start"\n\n');
    const { failure } = await read((await strategy.stream(call())).events);
    expect(failure).toMatchObject({ code: 'provider_bad_response' });
  });

  it('ends with the reason of an abort, and closes the upstream', async () => {
    answerWith(sse(EVENTS.slice(0, 3)), { then: 'stall' });
    const controller = new AbortController();
    const { events } = await strategy.stream(call({ signal: controller.signal }));
    const reason = new Error('the client left');
    setTimeout(() => controller.abort(reason), 30);
    expect(await read(events)).toEqual({ texts: ['', 'hi'], failure: reason });
    await expect.poll(() => server.closedEarly).toBe(true);
  });

  it('closes the upstream when its reader goes', async () => {
    answerWith(sse(EVENTS.slice(0, 3)), { then: 'stall' });
    const { events } = await strategy.stream(call());
    for await (const event of events) if (event.outputText) break;
    await expect.poll(() => server.closedEarly).toBe(true);
  });

  it('fails before it begins when the status says so', async () => {
    answerWith('{"type":"error","error":{"type":"rate_limit_error","message":"x"}}', { status: 429 });
    await expect(strategy.stream(call())).rejects.toMatchObject({
      code: 'provider_rate_limited',
      upstreamStatus: 429,
    });
  });
});
