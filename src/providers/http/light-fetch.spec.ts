import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import Anthropic from '@anthropic-ai/sdk';
import { GoogleGenAI } from '@google/genai';
import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import { ConnectionError, connectionFailure } from './connection-failure.js';
import { failure, lightFetch, pause, serve, until } from './fixtures/local-server.js';
import { closeLightFetch, createLightFetch, type LightFetch } from './light-fetch.js';

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const piece of request) text += String(piece);
  return text;
}

function json(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}

describe('light fetch', () => {
  it('sends method, headers and body, and reads status, headers and body', async () => {
    const seen: Record<string, unknown> = {};
    const url = await serve(async (request, response) => {
      Object.assign(seen, { method: request.method, url: request.url, headers: request.headers });
      seen.body = await bodyOf(request);
      json(response, 201, { ok: 'é' }, { 'x-request-id': 'r1', 'set-cookie': 'a=1' });
    });
    const response = await lightFetch()(`${url}/v1/x?y=1`, {
      method: 'POST',
      headers: new Headers({ Authorization: 'Bearer k', 'Accept-Encoding': 'gzip' }),
      body: '{"a":"é"}',
    });
    expect(seen).toMatchObject({ method: 'POST', url: '/v1/x?y=1', body: '{"a":"é"}' });
    expect(seen.headers).toMatchObject({
      authorization: 'Bearer k',
      'accept-encoding': 'identity',
      'content-length': '10',
    });
    expect([response.status, response.ok, response.url]).toEqual([201, true, `${url}/v1/x?y=1`]);
    expect(response.headers.get('X-Request-Id')).toBe('r1');
    expect(Object.fromEntries(response.headers.entries())).toMatchObject({ 'x-request-id': 'r1' });
    expect(new Response('', { headers: response.headers }).headers.get('x-request-id')).toBe('r1');
    expect(await response.json()).toEqual({ ok: 'é' });
    expect(response.bodyUsed).toBe(true);
  });

  it('follows no redirect', async () => {
    const url = await serve((_request, response) => response.writeHead(302, { location: '/else' }).end());
    const response = await lightFetch()(url);
    expect([response.status, response.ok]).toEqual([302, false]);
    expect(await response.text()).toBe('');
  });

  it('keeps connections alive', async () => {
    const ports = new Set<number | undefined>();
    const url = await serve((request, response) => {
      ports.add(request.socket.remotePort);
      json(response, 200, {});
    });
    const fetch = lightFetch();
    for (let call = 0; call < 10; call += 1) await (await fetch(url)).text();
    // undici leaves a connection alone for one turn of the event loop after an answer, so that two take turns
    expect(ports.size).toBeLessThanOrEqual(2);
  });

  it('knows that a refused connection processed nothing', async () => {
    const error = await failure(lightFetch()('http://127.0.0.1:1/'));
    expect(connectionFailure(error)).toMatchObject({ processed: 'no', kind: 'refused' });
  });

  it('knows that an unknown host processed nothing', async () => {
    const error = await failure(lightFetch()('http://no-such-host.invalid/'));
    expect(connectionFailure(error)).toMatchObject({ processed: 'no', kind: 'dns' });
  });

  it('knows that a failed TLS handshake processed nothing', async () => {
    const url = await serve((_request, response) => json(response, 200, {}));
    const error = await failure(lightFetch()(url.replace('http:', 'https:'), { method: 'POST', body: 'x' }));
    expect(connectionFailure(error)).toMatchObject({ processed: 'no' });
  });

  it('does not know how far a request came whose connection was reset', async () => {
    const url = await serve((request) => request.socket.destroy());
    const error = await failure(lightFetch()(url, { method: 'POST', body: 'x' }));
    expect(connectionFailure(error)).toMatchObject({ processed: 'unknown', kind: 'reset' });
  });

  it('gives what arrived before a reset, then the failure', async () => {
    const url = await serve((request, response) => {
      response.write('begun');
      setTimeout(() => request.socket.destroy(), 20);
    });
    const response = await lightFetch()(url);
    const reader = response.body![Symbol.asyncIterator]();
    expect(Buffer.from((await reader.next()).value ?? []).toString()).toBe('begun');
    expect(connectionFailure(await failure(reader.next()))).toMatchObject({
      processed: 'unknown',
      kind: 'reset',
    });
  });

  it('gives up on an answer that does not begin, and on one that stops', async () => {
    const url = await serve((request, response) => {
      if (request.url === '/stops') response.write('x');
    });
    const fetch = lightFetch({ headersTimeoutMs: 50, bodyTimeoutMs: 50 });
    const never = failure(fetch(url));
    const stopped = failure((await fetch(`${url}/stops`)).text());
    expect(connectionFailure(await never)).toMatchObject({ processed: 'unknown', kind: 'headers_timeout' });
    expect(connectionFailure(await stopped)).toMatchObject({ processed: 'unknown', kind: 'body_timeout' });
  });

  it('reads no more than its limit and closes the upstream', async () => {
    let closed = false;
    const url = await serve((_request, response) => {
      response.on('close', () => (closed = true));
      const timer = setInterval(() => response.write('x'.repeat(1000)), 1);
      response.on('close', () => clearInterval(timer));
    });
    const error = await failure((await lightFetch({ maxBodyBytes: 5000 })(url)).text());
    expect(connectionFailure(error)).toMatchObject({ kind: 'body_too_large' });
    await until(() => closed);
  });

  it('makes a fast sender wait for a slow reader', async () => {
    const sent = { bytes: 0, ended: false };
    const size = 64 * 1024;
    const url = await serve(async (_request, response) => {
      for (let piece = 0; piece < 400; piece += 1) {
        if (!response.write(Buffer.alloc(size)))
          await new Promise((resolve) => response.once('drain', resolve));
        sent.bytes += size;
      }
      sent.ended = true;
      response.end();
    });
    const response = await lightFetch()(url);
    await pause(200);
    expect(sent.ended).toBe(false);
    expect((await response.arrayBuffer()).byteLength).toBe(400 * size);
  });

  it('rejects with the reason of the signal: before the call, while waiting, while reading', async () => {
    let closed = 0;
    const url = await serve((request, response) => {
      response.on('close', () => (closed += 1));
      if (request.url === '/stream') response.write('x');
    });
    const fetch = lightFetch();
    const reason = new Error('client gone');
    expect(await failure(fetch(url, { signal: AbortSignal.abort(reason) }))).toBe(reason);

    const waiting = new AbortController();
    const promise = failure(fetch(url, { signal: waiting.signal }));
    setTimeout(() => waiting.abort(reason), 30);
    expect(await promise).toBe(reason);
    await until(() => closed === 1);

    const reading = new AbortController();
    const text = failure((await fetch(`${url}/stream`, { signal: reading.signal })).text());
    reading.abort(reason);
    expect(await text).toBe(reason);
    await until(() => closed === 2);
  });

  it('closes the upstream of a body that is left', async () => {
    let closed = false;
    const url = await serve((_request, response) => {
      response.on('close', () => (closed = true));
      response.write('x');
    });
    const response = await lightFetch()(url);
    for await (const chunk of response.body!) {
      expect(chunk.length).toBe(1);
      break;
    }
    await until(() => closed);
  });

  it('fails at once when it is closed', async () => {
    const fetch = createLightFetch();
    await closeLightFetch(fetch);
    expect(connectionFailure(await failure(fetch('http://127.0.0.1:1/')))).toMatchObject({
      processed: 'no',
      kind: 'closed',
    });
  });

  it('refuses what it cannot send', async () => {
    const fetch = lightFetch();
    expect(await failure(fetch(new Request('http://127.0.0.1:1/')))).toBeInstanceOf(TypeError);
    expect(
      await failure(fetch('http://127.0.0.1:1/', { method: 'POST', body: new FormData() })),
    ).toBeInstanceOf(TypeError);
  });
});

describe('connectionFailure', () => {
  it('says nothing of other errors', () => {
    expect(connectionFailure(new Error('x'))).toBeUndefined();
    expect(connectionFailure('x')).toBeUndefined();
  });

  it('finds the failure behind causes', () => {
    const inner = new ConnectionError('reset', 'unknown', 'ECONNRESET');
    expect(connectionFailure(new Error('a', { cause: new Error('b', { cause: inner }) }))).toBe(inner);
  });
});

const CHUNK =
  'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"hé"}}]}\n\n';
const MESSAGE_START = `event: message_start\ndata: ${JSON.stringify({
  type: 'message_start',
  message: { id: 'm', type: 'message', role: 'assistant', model: 'm', content: [], usage: {} },
})}\n\n`;
const GEMINI = {
  candidates: [{ content: { role: 'model', parts: [{ text: 'hé' }] }, finishReason: 'STOP' }],
};

/** One vendor's SDK, called in the ways the strategies call it. */
interface Subject {
  name: string;
  whole: unknown;
  ask(signal?: AbortSignal): Promise<unknown>;
  /** Not of Google: its streams are read without the SDK. */
  first?: string;
  stream?(signal?: AbortSignal): Promise<AsyncIterable<unknown>>;
}

function subjects(baseURL: string, fetch: LightFetch): Subject[] {
  const openai = new OpenAI({ apiKey: 'k', baseURL, fetch, maxRetries: 0 });
  const anthropic = new Anthropic({ apiKey: 'k', baseURL, fetch, maxRetries: 0 });
  const google = new GoogleGenAI({ apiKey: 'k', httpOptions: { baseUrl: baseURL, fetch } });
  const messages = [{ role: 'user' as const, content: 'hi' }];
  return [
    {
      name: 'openai',
      whole: { id: 'c', choices: [] },
      first: CHUNK,
      ask: (signal) => openai.chat.completions.create({ model: 'm', messages }, { signal }),
      stream: (signal) => openai.chat.completions.create({ model: 'm', messages, stream: true }, { signal }),
    },
    {
      name: 'anthropic',
      whole: { id: 'm', type: 'message', content: [] },
      first: MESSAGE_START,
      ask: (signal) => anthropic.messages.create({ model: 'm', max_tokens: 1, messages }, { signal }),
      stream: (signal) =>
        anthropic.messages.create({ model: 'm', max_tokens: 1, messages, stream: true }, { signal }),
    },
    {
      name: 'google',
      whole: GEMINI,
      ask: (signal) =>
        google.models.generateContent({
          model: 'm',
          contents: 'hi',
          config: signal ? { abortSignal: signal } : {},
        }),
    },
  ];
}

describe('an answer as JSON', () => {
  it('is refused when it is nested deeper than any stack', async () => {
    const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;
    const url = await serve((request, response) => response.end(nested(Number(request.url?.slice(1)))));
    const ask = async (depth: number) => (await lightFetch()(`${url}/${depth}`)).json();
    expect(JSON.stringify(await ask(400))).toHaveLength(800);
    await expect(ask(100_000)).rejects.toThrow('nested too deeply');
  });
});

async function subjectOf(
  name: string,
  listener: (subject: () => Subject) => RequestListener,
): Promise<Subject> {
  let found: Subject | undefined;
  const url = await serve(listener(() => found!));
  found = subjects(url, lightFetch()).find((candidate) => candidate.name === name)!;
  return found;
}

describe.each(['openai', 'anthropic', 'google'])('under the SDK of %s', (name) => {
  const subject = (listener: Parameters<typeof subjectOf>[1]) => subjectOf(name, listener);

  it('answers whole', async () => {
    const sdk = await subject((self) => (_request, response) => json(response, 200, self().whole));
    expect(await sdk.ask()).toMatchObject(self(sdk.whole));
  });

  it.each([400, 429, 503])('tells status %i and the body', async (status) => {
    const sdk = await subject(
      () => (_request, response) => json(response, status, { error: { message: 'no way' } }),
    );
    const error = await failure(sdk.ask());
    expect(error).toMatchObject({ status });
    expect(String(error)).toContain('no way');
  });

  it('shows that a refused connection processed nothing, a reset one perhaps', async () => {
    const refused = subjects('http://127.0.0.1:1', lightFetch()).find(
      (candidate) => candidate.name === name,
    )!;
    expect(connectionFailure(await failure(refused.ask()))).toMatchObject({
      processed: 'no',
      kind: 'refused',
    });
    const sdk = await subject(() => (request) => request.socket.destroy());
    expect(connectionFailure(await failure(sdk.ask()))).toMatchObject({
      processed: 'unknown',
      kind: 'reset',
    });
  });

  it('closes the upstream when the call is aborted before the answer', async () => {
    let arrived = false;
    let closed = false;
    const sdk = await subject(() => (_request, response) => {
      arrived = true;
      response.on('close', () => (closed = true));
    });
    const controller = new AbortController();
    const asked = failure(sdk.ask(controller.signal));
    await until(() => arrived);
    controller.abort();
    expect(await asked).toBeInstanceOf(Error);
    await until(() => closed);
  });
});

describe.each(['openai', 'anthropic'])('a stream under the SDK of %s', (name) => {
  const subject = (listener: Parameters<typeof subjectOf>[1]) => subjectOf(name, listener);

  it('is read', async () => {
    const sdk = await subject((self) => (_request, response) => {
      const bytes = Buffer.from(self().first!);
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(bytes.subarray(0, 30));
      setTimeout(() => response.end(bytes.subarray(30)), 10);
    });
    const events: unknown[] = [];
    for await (const event of await sdk.stream!()) events.push(event);
    expect(events).toHaveLength(1);
  });

  it('closes the upstream when it is aborted, or left', async () => {
    let closed = 0;
    const sdk = await subject((self) => (_request, response) => {
      response.on('close', () => (closed += 1));
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(self().first);
    });
    const controller = new AbortController();
    let seen = 0;
    for await (const _event of await sdk.stream!(controller.signal)) {
      seen += 1;
      controller.abort();
    }
    await until(() => closed === 1);
    expect(seen).toBe(1);
    for await (const _event of await sdk.stream!()) break;
    await until(() => closed === 2);
  });
});

function self(whole: unknown): object {
  return whole as object;
}
