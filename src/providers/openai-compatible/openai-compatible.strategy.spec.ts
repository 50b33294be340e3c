import { readFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  ProviderError,
  type ChatMessage,
  type ChatRequest,
  type ProviderCall,
  type ProviderStrategy,
  type ToolCall,
} from '@app/contracts';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { closeLightFetch, createLightFetch } from '../http/light-fetch.js';
import { createOpenAiCompatible } from './index.js';

const API_KEY = 'sk-proj-abcdef123456';
const fetch = createLightFetch();
const servers: ReturnType<typeof createServer>[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});
afterAll(() => closeLightFetch(fetch));

interface Upstream {
  strategy: ProviderStrategy;
  requests: { url: string | undefined; headers: Record<string, unknown>; body: Record<string, unknown> }[];
}

function upstream(...listeners: RequestListener[]): Promise<Upstream> {
  return upstreamWith({}, ...listeners);
}

async function upstreamWith(
  options: Readonly<Record<string, unknown>>,
  ...listeners: RequestListener[]
): Promise<Upstream> {
  const requests: Upstream['requests'] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = JSON.parse(Buffer.concat(chunks).toString() || '{}') as Record<string, unknown>;
      requests.push({ url: request.url, headers: request.headers, body });
      const listener = listeners.length > 1 ? listeners.shift() : listeners[0];
      listener?.(request, response);
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  return {
    strategy: await createOpenAiCompatible('local', { baseUrl, apiKey: API_KEY, options }, { fetch }),
    requests,
  };
}

function call(request: Partial<ChatRequest> = {}, more: Partial<ProviderCall> = {}): ProviderCall {
  return {
    request: { model: 'client-model', messages: [{ role: 'user', content: 'Hi' }], ...request },
    upstreamModel: 'upstream-model',
    clientModel: 'client-model',
    maxOutputTokens: undefined,
    requestId: 'req-1',
    signal: new AbortController().signal,
    dropUnsupported: false,
    ...more,
  };
}

const answer =
  (status: number, body: unknown, headers: Record<string, string> = {}): RequestListener =>
  (_request, response) => {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    const type = typeof body === 'string' ? 'text/plain' : 'application/json';
    response.writeHead(status, { 'content-type': type, ...headers }).end(text);
  };
const completion = {
  id: 'c1',
  choices: [{ index: 0, message: { content: 'Hello' }, finish_reason: 'stop' }],
};
const sseFile = (name: string) => readFileSync(new URL(`./fixtures/${name}.sse`, import.meta.url));
const streamAnswer =
  (bytes: Buffer): RequestListener =>
  (_request, response) =>
    response.writeHead(200, { 'content-type': 'text/event-stream', 'x-request-id': 'up-1' }).end(bytes);

async function drained(stream: ReturnType<ProviderStrategy['stream']>): Promise<void> {
  for await (const _event of (await stream).events);
}

async function failure(promise: Promise<unknown>): Promise<ProviderError> {
  const error = await promise.then(
    () => expect.unreachable('it should have failed'),
    (thrown: unknown) => thrown,
  );
  return error as ProviderError;
}

describe('a call', () => {
  it('names the request and carries the key', async () => {
    const { strategy, requests } = await upstream(answer(200, completion, { 'x-request-id': 'up-1' }));
    const answered = await strategy.complete(call({}, { traceparent: '00-aa-bb-01', maxOutputTokens: 9 }));
    expect(answered).toMatchObject({ providerRequestId: 'up-1', usage: undefined, droppedParams: [] });
    expect(answered.completion.choices[0]?.message.content).toBe('Hello');
    expect(requests[0]).toMatchObject({
      url: '/v1/chat/completions',
      headers: { authorization: `Bearer ${API_KEY}`, 'x-request-id': 'req-1', traceparent: '00-aa-bb-01' },
      body: { model: 'upstream-model', max_tokens: 9 },
    });
  });

  const reaching = { models: ['dear'], extra_body: { api_base: 'http://elsewhere', kept: 1 }, top_k: 5 };

  it('is refused when a field of it reaches past what is held for, and nothing is sent', async () => {
    const { strategy, requests } = await upstream(answer(200, completion));
    const refusal = {
      code: 'unsupported_parameter',
      param: 'models',
      message: expect.stringMatching(/model/),
    };
    await expect(strategy.complete(call(reaching))).rejects.toMatchObject(refusal);
    await expect(strategy.stream(call(reaching))).rejects.toMatchObject(refusal);
    expect(requests).toEqual([]);
  });

  it('goes without such fields where that is allowed, and names them', async () => {
    const { strategy, requests } = await upstream(answer(200, completion));
    const given = call(reaching, { dropUnsupported: true });
    expect((await strategy.complete(given)).droppedParams).toEqual(['models', 'extra_body.api_base']);
    expect((await strategy.stream(given)).droppedParams).toEqual(['models', 'extra_body.api_base']);
    for (const { body } of requests) {
      expect(body).toMatchObject({ extra_body: { kept: 1 }, top_k: 5 });
      expect(JSON.stringify(body)).not.toMatch(/dear|elsewhere/);
    }
    expect(given.request).toMatchObject(reaching);
  });

  it('has what the operator has opened, and nothing else', async () => {
    const { strategy, requests } = await upstreamWith({ allowedParams: ['models'] }, answer(200, completion));
    await strategy.complete(call({ models: ['dear'] }));
    expect(requests[0]?.body).toMatchObject({ models: ['dear'] });
    await expect(strategy.complete(call(reaching))).rejects.toMatchObject({ param: 'extra_body.api_base' });
  });

  it('says nothing of the machine that it comes from', async () => {
    const { strategy, requests } = await upstream(answer(200, completion));
    await strategy.complete(call());
    await strategy.complete(call());
    for (const { headers } of requests) {
      expect(Object.keys(headers).filter((name) => name.startsWith('x-stainless'))).toEqual([]);
    }
    expect(requests).toHaveLength(2);
  });

  it('sends no variable of OpenAI’s to another vendor, and no key to a server that has none', async () => {
    vi.stubEnv('OPENAI_API_KEY', 'sk-secret');
    vi.stubEnv('OPENAI_ORG_ID', 'org-secret');
    vi.stubEnv('OPENAI_PROJECT_ID', 'proj-secret');
    const { requests, strategy } = await upstream(answer(200, completion));
    const baseUrl = String(
      requests.length === 0 && (await strategy.complete(call()), requests[0]?.headers.host),
    );
    const keyless = await createOpenAiCompatible(
      'keyless',
      {
        baseUrl: `http://${baseUrl}/v1`,
        apiKey: undefined,
        headers: { 'api-key': 'azure' },
        options: { query: { 'api-version': '1' } },
      },
      { fetch },
    );
    await keyless.complete(call());
    vi.unstubAllEnvs();
    expect(JSON.stringify(requests)).not.toContain('secret');
    expect(requests[1]?.headers).not.toHaveProperty('authorization');
    expect(requests[1]).toMatchObject({
      url: '/v1/chat/completions?api-version=1',
      headers: { 'api-key': 'azure' },
    });
  });

  it('streams', async () => {
    const { strategy, requests } = await upstream(streamAnswer(sseFile('text')));
    const { events, providerRequestId } = await strategy.stream(call({ stream: true }));
    let text = '';
    for await (const event of events) text += event.outputText;
    expect([providerRequestId, text]).toEqual(['up-1', 'Good morning, "Zoë"!\\n\n\t😀 bye']);
    expect(requests[0]?.body).toMatchObject({ stream: true, stream_options: { include_usage: true } });
  });

  it('makes a stream of the whole answer of a server that cannot stream', async () => {
    const whole = {
      ...completion,
      choices: [
        {
          index: 0,
          message: {
            content: 'Hi',
            tool_calls: [{ id: 'call_1', function: { name: 'f', arguments: '{"a":1}' } }],
          },
          finish_reason: 'tool_calls',
        },
      ],
      usage: { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 },
    };
    const { strategy } = await upstream(answer(200, whole));
    const { events } = await strategy.stream(call({ stream: true }));
    const seen = [];
    for await (const event of events) seen.push({ ...event, json: JSON.parse(event.json) as object });
    expect(seen.map((event) => event.outputText)).toEqual(['Hif{"a":1}', '', '']);
    expect(seen.map((event) => event.finishReason)).toEqual([undefined, 'tool_calls', undefined]);
    expect(seen[2]).toMatchObject({ usageOnly: true, usage: { inputTokens: 3, outputTokens: 4 } });
    expect(seen[0]?.json).toMatchObject({
      object: 'chat.completion.chunk',
      choices: [{ delta: { role: 'assistant', content: 'Hi', tool_calls: [{ index: 0, id: 'call_1' }] } }],
    });
  });

  it('uses one connection for streams that follow each other', async () => {
    const ports = new Set<number | undefined>();
    const { strategy } = await upstream((request, response) => {
      ports.add(request.socket.remotePort);
      streamAnswer(sseFile('text'))(request, response);
    });
    for (let round = 0; round < 5; round += 1) {
      const { events } = await strategy.stream(call({ stream: true }));
      for await (const _event of events);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(ports.size).toBe(1);
  });

  it('probes by listing models', async () => {
    const { strategy, requests } = await upstream(
      answer(200, { data: [] }),
      answer(401, { error: { message: 'x' } }),
    );
    await strategy.probe?.(new AbortController().signal);
    expect(requests[0]?.url).toBe('/v1/models');
    expect(await failure(strategy.probe!(new AbortController().signal))).toMatchObject({
      code: 'provider_auth_failed',
    });
  });

  it.each([404, 405])('takes a server that has no list of models (%i) for one that is up', async (status) => {
    const { strategy } = await upstream(answer(status, 'No such thing'));
    await expect(strategy.probe!(new AbortController().signal)).resolves.toBeUndefined();
  });

  it('has its limit in the field that the operator names, and tells what he says of its bill', async () => {
    const options = { outputLimitField: 'max_completion_tokens', cancelStopsBilling: false };
    const { strategy, requests } = await upstreamWith(options, answer(200, completion));
    await strategy.complete(call({}, { maxOutputTokens: 9 }));
    expect(requests[0]?.body).toMatchObject({ max_completion_tokens: 9 });
    expect(requests[0]?.body).not.toHaveProperty('max_tokens');
    expect(strategy.cancelStopsBilling).toBe(false);
    expect((await upstream(answer(200, completion))).strategy.cancelStopsBilling).toBe(true);
  });

  it('has `usage: null` in a stream whose usage the client has asked for, and in no other', async () => {
    const { strategy } = await upstream(streamAnswer(sseFile('text')));
    for (const include_usage of [true, false]) {
      const { events } = await strategy.stream(call({ stream: true, stream_options: { include_usage } }));
      const jsons: string[] = [];
      for await (const { json } of events) jsons.push(json);
      expect(jsons.some((json) => json.includes('"usage":null'))).toBe(include_usage);
    }
  });
});

describe('a refusal about a field', () => {
  const signature = { google: { thought_signature: 's' } };
  const tool: ToolCall = { id: 'call_1', type: 'function', function: { name: 'f', arguments: '{}' } };
  const unknown = (field: string) => `'messages.0' : property '${field}' is unsupported`;
  const refused = (param: string, code: string) =>
    answer(400, { error: { message: `'${param}' is not supported with this model.`, param, code } });

  it('renames the output limit, and remembers it for the model', async () => {
    const { strategy, requests } = await upstream(
      refused('max_tokens', 'unsupported_parameter'),
      answer(200, completion),
    );
    await strategy.complete(call({}, { maxOutputTokens: 5 }));
    await strategy.complete(call({}, { maxOutputTokens: 6 }));
    await strategy.complete(call({}, { maxOutputTokens: 7, upstreamModel: 'another' }));
    expect(requests.map(({ body }) => [body.max_tokens, body.max_completion_tokens])).toEqual([
      [5, undefined],
      [undefined, 5],
      [undefined, 6],
      [7, undefined],
    ]);
  });

  it('drops the client’s field and names it, or hands the refusal on', async () => {
    const dropping = await upstream(refused('temperature', 'unsupported_value'), answer(200, completion));
    const dropped = await dropping.strategy.complete(call({ temperature: 0.1 }, { dropUnsupported: true }));
    expect(dropped.droppedParams).toEqual(['temperature']);
    expect(dropping.requests[1]?.body).not.toHaveProperty('temperature');
    const strict = await upstream(refused('temperature', 'unsupported_value'));
    expect(await failure(strict.strategy.complete(call({ temperature: 0.1 })))).toMatchObject({
      code: 'unsupported_parameter',
      status: 400,
      param: 'temperature',
      wireCode: 'unsupported_value',
      tryElsewhere: false,
    });
    expect(strict.requests).toHaveLength(1);
  });

  it('remembers what a server does not take, also when the client asks for it', async () => {
    const { strategy, requests } = await upstream(
      answer(422, {
        detail: [
          { type: 'extra_forbidden', loc: ['body', 'stream_options'], msg: 'Extra inputs are not permitted' },
        ],
      }),
      answer(400, { error: { message: "'messages.0' : property 'reasoning_content' is unsupported" } }),
      answer(400, { error: { message: "'messages.0' : property 'extra_content' is unsupported" } }),
      answer(200, completion),
    );
    const request: Partial<ChatRequest> = {
      messages: [{ role: 'assistant', content: 'Ho', reasoning_content: 'Hm', extra_content: signature }],
      stream_options: { include_usage: true },
    };
    await strategy.stream(call(request));
    await strategy.stream(call(request));
    expect(requests).toHaveLength(5);
    expect(requests[4]?.body).toEqual({
      model: 'upstream-model',
      messages: [{ role: 'assistant', content: 'Ho' }],
      stream: true,
    });
  });

  describe('what one model refuses', () => {
    const signed: Partial<ChatRequest> = {
      messages: [{ role: 'assistant', content: 'Ho', reasoning_content: 'Hm', extra_content: signature }],
    };
    const unsupported = (field: string) =>
      answer(400, { error: { message: `'messages.0' : property '${field}' is unsupported` } });

    it.each(['extra_content', 'reasoning_content'])(
      'others behind the same address are sent: %s',
      async (field) => {
        const { strategy, requests } = await upstream(unsupported(field), answer(200, completion));
        await strategy.complete(call(signed, { upstreamModel: 'llama' }));
        await strategy.complete(call(signed, { upstreamModel: 'gemini' }));
        expect(requests.map(({ body }) => field in (body.messages as object[])[0]!)).toEqual([
          true,
          false,
          true,
        ]);
      },
    );

    it('is remembered when that was it: a server quotes names that a client wrote', async () => {
      const quoting = answer(400, {
        error: { message: "Invalid tool name: 'extra_content is unsupported'" },
      });
      const { strategy, requests } = await upstream(quoting, quoting, answer(200, completion));
      await failure(strategy.complete(call(signed)));
      await strategy.complete(call(signed));
      expect(requests[2]?.body.messages).toEqual(signed.messages);
    });
  });

  it.each<[string, string, ChatMessage, string, Partial<ChatRequest>?]>([
    [
      'of a user',
      'extra_content',
      { role: 'user', content: 'Hi', extra_content: signature },
      unknown('extra_content'),
    ],
    [
      'with more in it',
      'extra_content',
      { role: 'assistant', content: 'Ho', extra_content: { google: { thought_signature: 's', bogus: 1 } } },
      unknown('extra_content'),
    ],
    [
      'of a call, for a place inside it',
      'extra_content',
      { role: 'assistant', tool_calls: [{ ...tool, extra_content: signature }] },
      'Unknown name "x" at \'messages[0].tool_calls[0].extra_content.google\': Cannot find field.',
    ],
    [
      'for a place inside it, as a list',
      'extra_content',
      { role: 'assistant', content: 'Ho', extra_content: signature },
      '[{"type":"extra_forbidden","loc":["body","messages",0,"extra_content","google"]}]',
    ],
    [
      'of a user',
      'reasoning_content',
      { role: 'user', content: 'Hi', reasoning_content: 'x' },
      unknown('reasoning_content'),
    ],
    [
      'that is no text',
      'reasoning_content',
      { role: 'assistant', reasoning_content: 5 as never },
      unknown('reasoning_content'),
    ],
    [
      'of a call',
      'reasoning_content',
      { role: 'assistant', tool_calls: [{ ...tool, reasoning_content: 'x' }] },
      unknown('reasoning_content'),
    ],
    [
      'by another name',
      'reasoning_content',
      { role: 'assistant', content: 'Ho', reasoning: 'x' },
      unknown('reasoning'),
    ],
    [
      'with details that are refused',
      'reasoning_content',
      { role: 'assistant', reasoning_content: 'x', reasoning_details: [{ type: 'x' }] },
      unknown('reasoning_details'),
    ],
    [
      'with an option',
      'stream_options',
      { role: 'user', content: 'Hi' },
      unknown('stream_options'),
      { stream_options: { bogus: 1 } },
    ],
  ])(
    'which only one client wrote is not held against the others: %s, %s',
    async (_how, field, message, said, more) => {
      const { strategy, requests } = await upstream(
        answer(400, { error: { message: said } }),
        answer(200, completion),
      );
      await strategy.stream(call({ messages: [message], ...more }));
      await strategy.stream(
        call({
          messages: [{ role: 'assistant', content: 'Ho', reasoning_content: 'Hm', extra_content: signature }],
        }),
      );
      expect(requests).toHaveLength(3);
      expect(JSON.stringify(requests[1]?.body)).not.toContain(field);
      expect(JSON.stringify(requests[2]?.body)).toContain(field);
    },
  );

  describe('reasoning', () => {
    const turn: Partial<ChatRequest> = {
      messages: [
        { role: 'assistant', content: 'Ho', reasoning_content: 'Hm', reasoning_details: [{ text: 'Hm' }] },
        { role: 'assistant', content: 'He', reasoning_content: '' },
      ],
    };
    const said = { ...completion, choices: [{ index: 0, message: { content: 'x', reasoning: 'Hm' } }] };
    const saying = answer(200, said);
    const chunk = { id: 'c', choices: [{ index: 0, delta: { reasoning: 'Hm' }, finish_reason: 'stop' }] };
    const streaming = streamAnswer(Buffer.from(`data: ${JSON.stringify(chunk)}\n\ndata: [DONE]\n\n`));
    const unsupported = (field: string) =>
      answer(400, { error: { message: `'messages.0' : property '${field}' is unsupported` } });
    const sentBack = ({ requests }: Upstream) =>
      requests.map(({ body }) => {
        const [first, second] = body.messages as Record<string, unknown>[];
        expect(second).not.toHaveProperty('reasoning');
        return Object.keys(first ?? {}).filter((name) => name.startsWith('reasoning'));
      });

    it.each([
      ['whole', saying],
      ['streamed', streaming],
    ])(
      'goes back by the name that the server has for it, whose other name it reads as nothing: %s',
      async (_name, first) => {
        const server = await upstream(first, answer(200, completion));
        if (first === saying) await server.strategy.complete(call(turn));
        else await drained(server.strategy.stream(call(turn)));
        await server.strategy.complete(call(turn));
        await server.strategy.complete(call(turn, { upstreamModel: 'another' }));
        expect(sentBack(server)).toEqual([
          ['reasoning_content', 'reasoning_details'],
          ['reasoning_details', 'reasoning'],
          ['reasoning_content', 'reasoning_details'],
        ]);
        expect(server.requests[1]?.body.messages).toMatchObject([{ reasoning: 'Hm' }, { content: 'He' }]);
      },
    );

    it('is tried by its other name once the first was refused, and left out when both were', async () => {
      const server = await upstream(
        unsupported('reasoning_content'),
        saying,
        saying,
        unsupported('reasoning'),
        saying,
      );
      for (let turns = 0; turns < 4; turns += 1) await server.strategy.complete(call(turn));
      expect(sentBack(server)).toEqual([
        ['reasoning_content', 'reasoning_details'],
        [],
        ['reasoning_details', 'reasoning'],
        ['reasoning_details', 'reasoning'],
        [],
        [],
      ]);
    });

    it('never goes back where the operator says so', async () => {
      const server = await upstreamWith({ takesReasoningContent: false }, saying);
      await server.strategy.complete(call(turn));
      await server.strategy.complete(call(turn));
      expect(sentBack(server)).toEqual([[], []]);
    });

    it('of a request is not that of its turns', async () => {
      const refusing = answer(400, { error: { message: "property 'reasoning' is unsupported" } });
      const server = await upstream(saying, refusing);
      const asking = call({ ...turn, reasoning: { effort: 'low' } });
      await server.strategy.complete(asking);
      expect(await failure(server.strategy.complete(asking))).toMatchObject({ param: 'reasoning' });
      expect(server.requests).toHaveLength(2);
    });
  });

  it('gives up after a few', async () => {
    const { strategy, requests } = await upstream(
      ...['a', 'b', 'c', 'd', 'e', 'f'].map((field) => refused(field, 'unsupported_parameter')),
    );
    const request = { a: 1, b: 1, c: 1, d: 1, e: 1, f: 1 };
    await failure(strategy.complete(call(request, { dropUnsupported: true })));
    expect(requests).toHaveLength(5);
  });
});

describe('an error answer', () => {
  const cases: [string, RequestListener, Record<string, unknown>][] = [
    [
      'a bad key, without a word of the key',
      answer(401, { error: { message: `Incorrect API key provided: ${API_KEY}`, code: 'invalid_api_key' } }),
      {
        code: 'provider_auth_failed',
        status: 502,
        processed: 'no',
        countsAsFailure: true,
        tryElsewhere: true,
      },
    ],
    [
      'no permission',
      answer(403, { error: { message: 'no' } }),
      { code: 'provider_auth_failed', tryElsewhere: true },
    ],
    ...(['organization_restricted', 'blocked_api_access'] as const).map(
      (code): [string, RequestListener, Record<string, unknown>] => [
        `an organisation that is shut out (Groq): ${code}`,
        answer(400, { error: { message: 'Organization has been restricted.', code } }),
        { code: 'provider_auth_failed', countsAsFailure: true },
      ],
    ),
    [
      'Gemini’s bad key',
      answer(400, [{ error: { code: 400, message: 'API key not valid. Please pass a valid API key.' } }]),
      { code: 'provider_auth_failed' },
    ],
    [
      'an unknown model',
      answer(404, { error: { message: 'The model `x` does not exist', code: 'model_not_found' } }),
      { code: 'model_not_found', status: 404, message: 'The model `x` does not exist', tryElsewhere: true },
    ],
    [
      'an unknown deployment',
      answer(404, {
        error: {
          message: 'The API deployment for this resource does not exist.',
          code: 'DeploymentNotFound',
        },
      }),
      { code: 'model_not_found', countsAsFailure: false },
    ],
    [
      'a project without the model',
      answer(403, {
        error: {
          message: 'Project `proj_abcdefgh` does not have access to model `x`',
          code: 'model_not_found',
        },
      }),
      { code: 'model_not_found', message: 'Project `[hidden]` does not have access to model `x`' },
    ],
    ...['No such File object: file-1', "Vector store with id ['vs_1'] not found."].map(
      (message): [string, RequestListener, Record<string, unknown>] => [
        `an object that is not there, which says nothing of the address: ${message}`,
        answer(404, { error: { message, type: 'invalid_request_error', param: null } }),
        { code: 'provider_rejected', countsAsFailure: false, tryElsewhere: false },
      ],
    ),
    [
      'an object that is not there, by its field',
      answer(404, { error: { message: 'Not found', type: 'invalid_request_error', param: 'file_id' } }),
      { code: 'provider_rejected', countsAsFailure: false, param: 'file_id' },
    ],
    [
      'a wrong address (OpenAI)',
      answer(404, {
        error: { message: 'Invalid URL (POST /v2/chat)', type: 'invalid_request_error', param: null },
      }),
      { code: 'provider_bad_response', countsAsFailure: true },
    ],
    ['a wrong address', answer(404, { detail: 'Not Found' }), { code: 'provider_bad_response', status: 502 }],
    [
      'a context that is too long',
      answer(400, { error: { message: 'too long', code: 'context_length_exceeded', param: 'messages' } }),
      { code: 'context_length_exceeded', param: 'messages', tryElsewhere: true, countsAsFailure: false },
    ],
    [
      'a context that is too long, in words',
      answer(400, {
        object: 'error',
        message: "This model's maximum context length is 8192 tokens.",
        code: 400,
      }),
      { code: 'context_length_exceeded' },
    ],
    [
      'a bad request',
      answer(400, { error: { message: 'bad image', param: 'messages[0]', code: 'invalid_image_url' } }),
      {
        code: 'provider_rejected',
        status: 400,
        message: 'bad image',
        param: 'messages[0]',
        wireCode: 'invalid_image_url',
        tryElsewhere: false,
        countsAsFailure: false,
      },
    ],
    [
      'FastAPI’s complaint',
      answer(422, { detail: [{ loc: ['body', 'n'], msg: 'not an int' }] }),
      {
        code: 'provider_rejected',
        message: '[{"loc":["body","n"],"msg":"not an int"}]',
        wireCode: 'provider_rejected',
      },
    ],
    [
      'Mistral’s complaint, without what was sent',
      answer(422, {
        object: 'error',
        message: {
          detail: [
            {
              type: 'extra_forbidden',
              loc: ['body', 'logit_bias'],
              msg: 'Extra inputs are not permitted',
              input: { secret: 1 },
            },
          ],
        },
        type: 'invalid_request_error',
        param: null,
        code: null,
      }),
      {
        code: 'unsupported_parameter',
        param: 'logit_bias',
        message:
          '[{"type":"extra_forbidden","loc":["body","logit_bias"],"msg":"Extra inputs are not permitted"}]',
      },
    ],
    [
      'plain text (xAI, axum)',
      answer(422, 'Failed to deserialize the JSON body into the target type: missing field `content`'),
      {
        code: 'provider_rejected',
        message: 'Failed to deserialize the JSON body into the target type: missing field `content`',
      },
    ],
    ['JSON text', answer(400, '"no such thing"'), { code: 'provider_rejected', message: 'no such thing' }],
    [
      'a status in words beside what was wrong (Nest, Spring)',
      answer(400, { statusCode: 400, error: 'Bad Request', message: 'n is too large' }),
      { code: 'provider_rejected', message: 'n is too large' },
    ],
    [
      'several things that were wrong, as texts',
      answer(400, { statusCode: 400, error: 'Bad Request', message: ['n is too large', 'stop is too long'] }),
      { code: 'provider_rejected', message: '["n is too large","stop is too long"]' },
    ],
    [
      'a list of errors (Cloudflare, watsonx)',
      answer(400, { success: false, errors: [{ code: 5006, message: 'Bad input' }], result: {} }),
      { code: 'provider_rejected', message: 'Bad input' },
    ],
    [
      'a list of words',
      answer(400, { errors: ['no such voice', 'x'] }),
      { code: 'provider_rejected', message: 'no such voice' },
    ],
    [
      'a list of errors with status 200',
      answer(200, { success: false, errors: [{ code: 5006, message: 'Bad input' }], result: {} }),
      { code: 'provider_bad_response', message: 'Bad input' },
    ],
    ...(
      [
        [1002, 'provider_rate_limited', 'no'],
        [1004, 'provider_auth_failed', "The provider does not accept the gateway's credentials."],
        [1008, 'provider_rate_limited', "The gateway's account at the provider is out of quota."],
        [1026, 'provider_rejected', 'no'],
        [2013, 'provider_rejected', 'no'],
        [1013, 'provider_bad_response', 'no'],
      ] as const
    ).map(([status_code, code, message]): [string, RequestListener, Record<string, unknown>] => [
      `a status inside a 200 (MiniMax): ${status_code}`,
      answer(200, { id: 'x', choices: null, base_resp: { status_code, status_msg: 'no' } }),
      { code, message },
    ]),
    [
      'a server that failed behind its front (TGI, Azure)',
      answer(424, { error: 'Request failed during generation', error_type: 'generation' }),
      { code: 'provider_bad_response', processed: 'unknown', countsAsFailure: true, tryElsewhere: true },
    ],
    [
      'a client’s own server that failed (OpenAI)',
      answer(424, { error: { message: "Error retrieving tool list from MCP server: 's'", type: 'x' } }),
      { code: 'provider_rejected', countsAsFailure: false },
    ],
    [
      'names of our accounts',
      answer(404, {
        error: {
          message:
            'Publisher Model `projects/my-project/locations/us/models/x` was not found, nor arn:aws:bedrock:us-east-1:123456789012:model/x',
        },
      }),
      {
        message:
          'Publisher Model `projects/[hidden]/locations/us/models/x` was not found, nor arn:aws:bedrock:us-east-1:[hidden]:model/x',
      },
    ],
    [
      'a page',
      answer(413, '<html>Too Large</html>'),
      { code: 'provider_rejected', message: 'The provider answered with status 413.' },
    ],
    ...(
      [
        [
          { message: "Unsupported parameter: 'temperature' is not supported with this model.", code: null },
          'temperature',
        ],
        [{ message: "Unknown parameter: 'foo'.", param: 'foo', code: 'unknown_parameter' }, 'foo'],
        [{ message: 'Unrecognized request argument supplied: foo', code: null }, 'foo'],
        [{ message: "property 'foo' is unsupported, did you mean 'stop'?" }, 'foo'],
        [
          {
            message: "body.foo: property 'body.foo' is unsupported",
            param: 'validation_error',
            code: 'wrong_api_format',
          },
          'foo',
        ],
        [{ message: "Additional properties are not allowed ('foo' was unexpected)" }, 'foo'],
        [{ message: "Extra inputs are not permitted, field: 'foo', value: 1" }, 'foo'],
        [{ message: 'Invalid JSON payload received. Unknown name "foo": Cannot find field.' }, 'foo'],
        [{ message: 'Argument not supported on this model: stop' }, 'stop'],
        [{ message: 'Model m does not support parameter presencePenalty.' }, 'presence_penalty'],
        [
          { message: "litellm.UnsupportedParamsError: m does not support parameters: ['foo'], for model=m." },
          'foo',
        ],
      ] as const
    ).map(([error, param]): [string, RequestListener, Record<string, unknown>] => [
      `a field that is not known: ${error.message}`,
      answer(400, { error }),
      { code: 'unsupported_parameter', param, tryElsewhere: false },
    ]),
    ...[
      "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
      'The decoder prompt (length 5000) is longer than the maximum model length of 4096.',
      'Input length (5000 tokens) exceeds the maximum allowed length (4096 tokens).',
      'Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000',
      'Input validation error: `inputs` must have less than 1024 tokens. Given: 3000',
      'Invalid request: Your request exceeded model token limit: 8192',
      '<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 30720]',
      'Please reduce the length of the messages or completion.',
      'The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).',
      'input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000',
      'litellm.ContextWindowExceededError: too much',
      'the request exceeds the available context size. try increasing the context size',
      'Prompt exceeds max length',
      'length of prompt_tokens (40000) must be less than max_seq_len (32768).',
      "Invalid input argument for Model 'm': the number of input tokens 9000 cannot exceed the total tokens limit 8192 for this model",
    ].map((message): [string, RequestListener, Record<string, unknown>] => [
      `a prompt that is too long: ${message}`,
      answer(400, { error: { message, type: 'invalid_request_error' } }),
      { code: 'context_length_exceeded', tryElsewhere: true },
    ]),
    [
      'a request that is larger than the model',
      answer(413, {
        error: { code: 'tokens_limit_reached', message: 'Request body too large for gpt-4o model.' },
      }),
      { code: 'context_length_exceeded' },
    ],
    ...(
      [
        [400, { message: 'Model Not Exist', type: 'invalid_request_error' }],
        [400, { message: 'foo/bar is not a valid model ID', code: 400 }],
        [400, { message: 'Invalid model: foo', type: 'invalid_model', code: '1500' }],
        [400, { message: 'The model `x` has been decommissioned', code: 'model_decommissioned' }],
        [404, { message: 'No endpoints found for foo/bar.', code: 404 }],
        [400, { message: 'Unknown Model, please check the model code.', code: '1211' }],
        [400, { message: 'Unknown model: x', code: 'unknown_model' }],
        [400, { message: 'Model does not exist. Please check it carefully.' }],
        [400, { message: 'The provided model identifier is invalid.' }],
        [
          400,
          {
            message: "The requested model 'x' is not supported by any provider",
            code: 'model_not_supported',
          },
        ],
        [400, { message: '/chat/completions: Invalid model name passed in model=x. Call `/v1/models`' }],
        [404, { message: "Function '0e1f': Not found for account 'xYz-123_abcdef'" }],
      ] as const
    ).map(([status, error]): [string, RequestListener, Record<string, unknown>] => [
      `a model that is not there: ${error.message}`,
      answer(status, { error }),
      { code: 'model_not_found', tryElsewhere: true, countsAsFailure: false },
    ]),
    ...(
      [
        [
          429,
          {
            message: 'Your account org-abcdefgh is suspended, check it',
            type: 'exceeded_current_quota_error',
          },
        ],
        [
          400,
          { message: 'Access denied, please make sure your account is in good standing.', code: 'Arrearage' },
        ],
        [412, { message: 'Account x is suspended, possibly due to reaching the monthly spending limit' }],
        [403, { message: "Your team doesn't have any credits yet." }],
        [401, { message: 'You exceeded your current quota', type: 'insufficient_quota', code: 401 }],
        [403, { message: 'Sorry, your account balance is insufficient', code: 30001 }],
        [403, { message: 'not enough balance', code: 403 }],
        [403, { message: 'Key limit exceeded (total limit).', code: 403 }],
        [
          403,
          { message: 'The free tier of the model has been exhausted.', code: 'AllocationQuota.FreeTierOnly' },
        ],
        [403, { message: 'The request failed because your account has an overdue balance.' }],
        [429, { message: '余额不足或无可用资源包,请充值。', code: '1113' }],
        [
          400,
          { message: 'Budget has been exceeded! Current cost: 1.0', type: 'budget_exceeded', code: '400' },
        ],
        [400, { message: 'Your credit balance is too low to access the Anthropic API.' }],
      ] as const
    ).map(([status, error]): [string, RequestListener, Record<string, unknown>] => [
      `an account without money: ${error.message}`,
      answer(status, { error }),
      {
        code: 'provider_rate_limited',
        message: "The gateway's account at the provider is out of quota.",
        countsAsFailure: true,
      },
    ]),
    ...['has insufficient credits', "'account is suspended'", 'invalid API key'].map(
      (text): [string, RequestListener, Record<string, unknown>] => [
        `a refusal that quotes a client who would open the breaker: ${text}`,
        answer(400, { error: { message: `Invalid value for tool_choice: ${text}` } }),
        { code: 'provider_rejected', countsAsFailure: false, tryElsewhere: false },
      ],
    ),
    [
      'what a moderation stopped, which says nothing of our key (OpenRouter)',
      answer(403, {
        error: { code: 403, message: 'Input was flagged', metadata: { reasons: ['violence'] } },
      }),
      { code: 'provider_rejected', countsAsFailure: false, message: 'Input was flagged' },
    ],
    [
      'what a moderation stopped (xAI)',
      answer(403, {
        code: 'The caller does not have permission to execute the specified operation',
        error:
          'Content violates usage guidelines. Team: 11111111-2222-3333-4444-555555555555, API key ID: 11111111-2222-3333-4444-555555555555',
      }),
      {
        code: 'provider_rejected',
        countsAsFailure: false,
        message: 'Content violates usage guidelines. Team: [hidden], API key ID: [hidden]',
      },
    ],
    [
      'no room for a cheap request (Groq)',
      answer(498, { error: { message: 'flex tier capacity exceeded', code: 'capacity_exceeded' } }),
      { code: 'provider_overloaded', tryElsewhere: true },
    ],
    [
      'ordinary words that begin like a key',
      answer(400, { error: { message: 'unknown tool skeleton_key' } }),
      { message: 'unknown tool skeleton_key' },
    ],
    ...(
      [
        ['Please retry after 26 seconds.', 26_000],
        ['Please retry in 48.5s.', 48_500],
        ['Please try again in 2 minutes', 120_000],
      ] as const
    ).map(([message, retryAfterMs]): [string, RequestListener, Record<string, unknown>] => [
      `a rate limit in other words: ${message}`,
      answer(429, { error: { message } }),
      { retryAfterMs },
    ]),
    [
      'Ollama’s text',
      answer(400, { error: 'invalid options' }),
      { code: 'provider_rejected', message: 'invalid options' },
    ],
    [
      'Azure’s number for a code',
      answer(400, { error: { code: '400', message: 'no' } }),
      { code: 'provider_rejected', wireCode: 'provider_rejected' },
    ],
    [
      'a rate limit with a time',
      answer(
        429,
        { error: { message: 'slow', code: 'rate_limit_exceeded' } },
        { 'retry-after-ms': '1500', 'retry-after': '2' },
      ),
      {
        code: 'provider_rate_limited',
        status: 429,
        retryAfterMs: 1500,
        processed: 'no',
        countsAsFailure: false,
      },
    ],
    ['a rate limit in seconds', answer(429, {}, { 'retry-after': '7' }), { retryAfterMs: 7000 }],
    [
      'a rate limit by its window',
      answer(429, {}, { 'x-ratelimit-remaining-tokens': '0', 'x-ratelimit-reset-tokens': '1m36.5s' }),
      { retryAfterMs: 96_500 },
    ],
    [
      'a rate limit in words',
      answer(429, {
        error: { message: 'Limit reached in organization org-abc123. Please try again in 20.5s.' },
      }),
      { retryAfterMs: 20_500, message: 'Limit reached in organization [hidden]. Please try again in 20.5s.' },
    ],
    [
      'a request larger than a minute',
      answer(
        429,
        {
          error: {
            message: 'Request too large for gpt-4o: Limit 10, Requested 20',
            code: 'rate_limit_exceeded',
          },
        },
        { 'x-ratelimit-remaining-tokens': '0', 'x-ratelimit-reset-tokens': '1s' },
      ),
      { code: 'provider_rate_limited', retryAfterMs: 60_000 },
    ],
    [
      'a window that is not used up',
      answer(
        429,
        {},
        { 'x-ratelimit-remaining-tokens': '9', 'x-ratelimit-reset-tokens': '1s', 'retry-after': 'soon' },
      ),
      { retryAfterMs: undefined },
    ],
    [
      'an empty account',
      answer(429, {
        error: {
          message: 'You exceeded your current quota, check billing of org-abcd1234',
          type: 'insufficient_quota',
          code: 'insufficient_quota',
        },
      }),
      {
        code: 'provider_rate_limited',
        wireCode: 'provider_rate_limited',
        countsAsFailure: true,
        tryElsewhere: true,
        retryAfterMs: 60_000,
      },
    ],
    [
      'an unpaid account',
      answer(402, { error: { message: 'Insufficient Balance' } }),
      { code: 'provider_rate_limited' },
    ],
    [
      'an overload, in plain text',
      answer(503, 'upstream connect error or disconnect/reset before headers', { 'retry-after': '3' }),
      {
        code: 'provider_overloaded',
        status: 503,
        processed: 'no',
        countsAsFailure: true,
        tryElsewhere: true,
        retryAfterMs: 3000,
      },
    ],
    [
      'an overload of another kind',
      answer(529, { error: { message: 'x' } }),
      { code: 'provider_overloaded' },
    ],
    [
      'a crash',
      answer(500, { error: { message: 'The server had an error' } }),
      {
        code: 'provider_bad_response',
        status: 502,
        processed: 'unknown',
        countsAsFailure: true,
        tryElsewhere: true,
      },
    ],
    [
      'a page of a proxy',
      answer(502, '<html>Bad gateway</html>'),
      { message: 'The provider answered with status 502.' },
    ],
    ['a redirect', answer(302, '', { location: 'http://example.org' }), { code: 'provider_bad_response' }],
    ['no JSON', answer(200, 'hello'), { code: 'provider_bad_response', processed: 'unknown' }],
  ];

  it.each(cases)('%s', async (_name, listener, expected) => {
    for (const method of ['complete', 'stream'] as const) {
      const { strategy } = await upstream(listener);
      const error = await failure(
        method === 'complete' ? strategy.complete(call()) : drained(strategy.stream(call({ stream: true }))),
      );
      expect(error).toBeInstanceOf(ProviderError);
      expect(error).toMatchObject(expected);
      expect(`${error.message} ${JSON.stringify(error.toEnvelope())}`).not.toMatch(/sk-|org-|abcdef/);
    }
  });

  it('knows that a refused connection processed nothing, a reset one perhaps', async () => {
    const nobody = await createOpenAiCompatible(
      'x',
      { baseUrl: 'http://127.0.0.1:1/v1', apiKey: 'k' },
      { fetch },
    );
    expect(await failure(nobody.complete(call()))).toMatchObject({
      code: 'provider_overloaded',
      processed: 'no',
      countsAsFailure: true,
      tryElsewhere: true,
    });
    const { strategy } = await upstream((request) => request.socket.destroy());
    expect(await failure(strategy.complete(call()))).toMatchObject({
      code: 'provider_bad_response',
      processed: 'unknown',
    });
  });

  it('is a cut stream when the connection breaks in the middle', async () => {
    const bytes = sseFile('text');
    const { strategy } = await upstream((request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(bytes.subarray(0, 900));
      setTimeout(() => request.socket.destroy(), 20);
    });
    const { events } = await strategy.stream(call({ stream: true }));
    const seen: string[] = [];
    const error = await failure(
      (async () => {
        for await (const event of events) seen.push(event.json);
      })(),
    );
    expect(seen.length).toBeGreaterThan(0);
    expect(error).toMatchObject({ code: 'provider_bad_response', processed: 'unknown' });
  });

  it('is the reason of the signal when the call was aborted', async () => {
    let closed = 0;
    const { strategy } = await upstream((_request, response) => {
      response.on('close', () => (closed += 1));
      if (closed > 0)
        response
          .writeHead(200, { 'content-type': 'text/event-stream' })
          .write(sseFile('text').subarray(0, 900));
    });
    const waiting = new AbortController();
    const reason = new Error('timed out');
    const asked = failure(strategy.complete(call({}, { signal: waiting.signal })));
    setTimeout(() => waiting.abort(reason), 30);
    expect(await asked).toBe(reason);
    await vi.waitFor(() => expect(closed).toBe(1));

    const reading = new AbortController();
    const { events } = await strategy.stream(call({ stream: true }, { signal: reading.signal }));
    const read = failure(
      (async () => {
        for await (const _event of events) reading.abort(reason);
      })(),
    );
    expect(await read).toBe(reason);
    await vi.waitFor(() => expect(closed).toBe(2));
  });
});
