import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  type ChatStreamEvent,
  type ProviderCall,
  ProviderError,
  type ProviderStrategy,
} from '@app/contracts';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { closeLightFetch, createLightFetch } from '../http/light-fetch.js';
import { GOOGLE } from './index.js';

interface Received {
  method: string | undefined;
  url: string | undefined;
  headers: IncomingHttpHeaders;
  body: string;
  /** The client has left before the answer was complete. */
  cut: Promise<void>;
}

/** A server of its own for every test file; what it answers is set by the test. */
class Upstream {
  answer: (response: ServerResponse) => void = (response) => response.end('{}');
  readonly received: Received[] = [];
  readonly #server: Server = createServer((request, response) => {
    const cut = new Promise<void>((resolve) => {
      response.on('close', () => (response.writableFinished ? undefined : resolve()));
    });
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      this.received.push({ method: request.method, url: request.url, headers: request.headers, body, cut });
      this.answer(response);
    });
  });

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

const upstream = new Upstream();
const fetch = createLightFetch();
let baseUrl: string;
let strategy: ProviderStrategy;

beforeAll(async () => {
  baseUrl = await upstream.start();
  strategy = await GOOGLE.create({ baseUrl: `${baseUrl}/proxy`, apiKey: 'secret-key' }, { fetch });
});

afterEach(() => {
  upstream.received.length = 0;
});

afterAll(async () => {
  await closeLightFetch(fetch);
  await upstream.stop();
});

function callWith(fields: Partial<ProviderCall> = {}): ProviderCall {
  return {
    request: { model: 'g', messages: [{ role: 'user', content: 'hi' }], tools: [{ type: 'google_search' }] },
    upstreamModel: 'gemini-2.5-flash',
    clientModel: 'g',
    maxOutputTokens: 7,
    requestId: 'r',
    signal: new AbortController().signal,
    dropUnsupported: false,
    ...fields,
  };
}

const sse = (...chunks: object[]) => chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\r\n\r\n`).join('');
const text = (words: string, fields: object = {}) => ({
  candidates: [{ content: { parts: [{ text: words }] }, ...fields }],
});
const finished = text('done', { finishReason: 'STOP' });

function answerWith(status: number, body: string, headers: Record<string, string> = {}): void {
  upstream.answer = (response) => response.writeHead(status, headers).end(body);
}

async function readAll(events: AsyncIterable<ChatStreamEvent>): Promise<string[]> {
  const texts: string[] = [];
  for await (const event of events) texts.push(event.outputText);
  return texts;
}

async function errorOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => 'no error',
    (reason: unknown) => reason,
  );
}

describe('the call', () => {
  it('is made by the SDK: version, key in a header and never in the address, trace context', async () => {
    answerWith(200, JSON.stringify(finished), { 'x-request-id': 'up-1' });
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const answer = await strategy.complete(callWith({ traceparent }));
    expect(answer.completion.choices[0]?.message.content).toBe('done');
    expect(answer.providerRequestId).toBe('up-1');
    expect(strategy.cancelStopsBilling).toBe(false);
    const [received] = upstream.received;
    expect(received?.url).toBe('/proxy/v1beta/models/gemini-2.5-flash:generateContent');
    expect(received?.headers).toMatchObject({
      'x-goog-api-key': 'secret-key',
      'content-type': 'application/json',
      'x-goog-api-client': expect.stringContaining('google-genai-sdk/'),
      traceparent,
    });
    expect(JSON.parse(received?.body ?? '')).toEqual({
      contents: [{ role: 'user', parts: [{ text: 'hi' }] }],
      tools: [{ googleSearch: {} }],
      generationConfig: { maxOutputTokens: 7 },
    });
  });

  it('is the same the second time, but for what belongs to one call', async () => {
    answerWith(200, JSON.stringify(finished));
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    await strategy.complete(callWith({ traceparent }));
    await strategy.complete(callWith());
    await strategy.complete(callWith({ upstreamModel: 'gemini-3-pro' }));
    const [first, second, other] = upstream.received;
    const { traceparent: traced, ...common } = first?.headers ?? {};
    expect(traced).toBe(traceparent);
    expect(second).toMatchObject({ url: first?.url, body: first?.body });
    expect(second?.headers).toEqual(common);
    expect(other?.url).toBe('/proxy/v1beta/models/gemini-3-pro:generateContent');
  });

  it.each(['../../v1/files', 'a/b', 'x?key=1', '', 'models/a:countTokens#'])(
    'never makes %j a part of the address',
    async (upstreamModel) => {
      expect(await errorOf(strategy.complete(callWith({ upstreamModel })))).toMatchObject({
        code: 'model_not_found',
      });
      expect(upstream.received).toEqual([]);
    },
  );

  it.each([429, 500, 503, 504])('is not repeated after %i', async (status) => {
    answerWith(status, '{"error":{}}', { 'content-type': 'application/json', 'retry-after': '3' });
    const error = await errorOf(strategy.complete(callWith()));
    expect(error).toBeInstanceOf(ProviderError);
    expect(error).toMatchObject({ upstreamStatus: status, retryAfterMs: 3000 });
    expect(await errorOf(strategy.stream(callWith()))).toMatchObject({ upstreamStatus: status });
    expect(upstream.received).toHaveLength(2);
  });

  it('is told by its status when what it says besides is cut', async () => {
    upstream.answer = (response) => {
      response.writeHead(429, { 'content-length': '500', 'retry-after': '3' }).write('{"error":');
      setTimeout(() => response.destroy(), 10);
    };
    const refused = { code: 'provider_rate_limited', upstreamStatus: 429, retryAfterMs: 3000 };
    expect(await errorOf(strategy.complete(callWith()))).toMatchObject(refused);
    expect(await errorOf(strategy.stream(callWith()))).toMatchObject(refused);
  });

  it('names a server that is not there as not reached', async () => {
    const gone = await GOOGLE.create({ baseUrl: 'http://127.0.0.1:9', apiKey: 'k' }, { fetch });
    expect(await errorOf(gone.complete(callWith()))).toMatchObject({
      code: 'provider_overloaded',
      processed: 'no',
    });
  });

  it('takes a whole answer that broke off, or is no JSON, as failed', async () => {
    upstream.answer = (response) => {
      response.writeHead(200, { 'content-length': '1000' }).write('{"candidates":[');
      setTimeout(() => response.destroy(), 10);
    };
    const broken = { code: 'provider_bad_response', processed: 'unknown' };
    expect(await errorOf(strategy.complete(callWith()))).toMatchObject(broken);
    answerWith(200, 'surprise');
    expect(await errorOf(strategy.complete(callWith()))).toMatchObject(broken);
    answerWith(200, '{"error":{"code":503,"message":"busy"}}');
    expect(await errorOf(strategy.complete(callWith()))).toMatchObject({ code: 'provider_overloaded' });
  });

  it('stops when it is aborted, with the reason that was given', async () => {
    upstream.answer = () => undefined;
    const controller = new AbortController();
    const error = errorOf(strategy.complete(callWith({ signal: controller.signal })));
    while (upstream.received.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    const reason = new Error('the client has left');
    controller.abort(reason);
    expect(await error).toBe(reason);
    await upstream.received[0]?.cut;
    expect(await errorOf(strategy.stream(callWith({ signal: controller.signal })))).toBe(reason);
  });
});

describe('the stream', () => {
  it('begins with the headers, before the first event', async () => {
    let finish: () => void = () => undefined;
    upstream.answer = (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
      finish = () => response.end(sse(finished));
    };
    const { events, droppedParams } = await strategy.stream(callWith());
    finish();
    expect(await readAll(events)).toEqual(['done', '']);
    expect(droppedParams).toEqual([]);
    expect(upstream.received[0]?.url).toBe(
      '/proxy/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse',
    );
  });

  it.each([
    ['the connection', (response: ServerResponse) => response.destroy()],
    ['the body', (response: ServerResponse) => response.end()],
    ['an event', (response: ServerResponse) => response.end('data: {"candidates":[{"finishReason":"ST')],
  ])('is not complete when %s ends early, and what came before is given', async (_, end) => {
    upstream.answer = (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(sse(text('one')));
      setTimeout(() => end(response), 20);
    };
    const { events } = await strategy.stream(callWith());
    const iterator = events[Symbol.asyncIterator]();
    expect((await iterator.next()).value).toMatchObject({ outputText: 'one' });
    expect(await errorOf(iterator.next())).toMatchObject({
      code: 'provider_bad_response',
      processed: 'unknown',
    });
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
  });

  it('gives what stands before an error in the same bytes', async () => {
    const error = { error: { code: 500, message: 'Internal.', status: 'INTERNAL' } };
    answerWith(200, sse(text('one'), text('two'), error), { 'content-type': 'text/event-stream' });
    const iterator = (await strategy.stream(callWith())).events[Symbol.asyncIterator]();
    expect((await iterator.next()).value).toMatchObject({ outputText: 'one' });
    expect((await iterator.next()).value).toMatchObject({ outputText: 'two' });
    expect(await errorOf(iterator.next())).toMatchObject({
      code: 'provider_bad_response',
      message: 'Internal.',
    });
  });

  it('takes an error object as plain JSON for what it is', async () => {
    answerWith(200, '{"error":{"code":429,"message":"Slow down.","status":"RESOURCE_EXHAUSTED"}}');
    const { events } = await strategy.stream(callWith());
    expect(await errorOf(readAll(events))).toMatchObject({
      code: 'provider_rate_limited',
      message: 'Slow down.',
    });
  });

  it.each(['left early', 'never begun'])('closes the upstream when it is %s', async (when) => {
    upstream.answer = (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(sse(text('one')));
    };
    const iterator = (await strategy.stream(callWith())).events[Symbol.asyncIterator]();
    if (when === 'left early') await iterator.next();
    await iterator.return?.();
    await upstream.received[0]?.cut;
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
  });

  it('closes the upstream and gives the reason when it is aborted', async () => {
    upstream.answer = (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(sse(text('one')));
    };
    const controller = new AbortController();
    const { events } = await strategy.stream(callWith({ signal: controller.signal }));
    const iterator = events[Symbol.asyncIterator]();
    await iterator.next();
    const next = errorOf(iterator.next());
    const reason = new Error('idle');
    controller.abort(reason);
    expect(await next).toBe(reason);
    await upstream.received[0]?.cut;
  });
});

describe('the probe', () => {
  it('lists a model', async () => {
    answerWith(200, '{"models":[]}');
    await strategy.probe?.(new AbortController().signal);
    expect(upstream.received[0]).toMatchObject({ method: 'GET', url: '/proxy/v1beta/models?pageSize=1' });
  });

  it('fails when the key does', async () => {
    answerWith(400, '{"error":{"code":400,"message":"API key not valid. Please pass a valid API key."}}');
    const error = await errorOf(strategy.probe?.(new AbortController().signal) ?? Promise.resolve());
    expect(error).toMatchObject({ code: 'provider_auth_failed' });
  });
});
