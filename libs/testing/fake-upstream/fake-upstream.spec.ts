import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { eventually } from '../eventually.js';
import { expectChatCompletion } from '../openai/expect-openai.js';
import { foldChunks } from '../openai/fold-chunks.js';
import { readSse } from '../openai/read-sse.js';
import { FakeUpstream } from './fake-upstream.js';
import { splitBytes } from './split-bytes.js';

let upstream: FakeUpstream;
beforeAll(async () => {
  upstream = await FakeUpstream.start();
});
beforeEach(() => upstream.reset());
afterAll(() => upstream.stop());

function chat(body: Record<string, unknown> = {}, init: RequestInit = {}): Promise<Response> {
  const messages = [{ role: 'user', content: 'good morning' }];
  return fetch(`${upstream.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: 'Bearer x' },
    body: JSON.stringify({ model: 'gpt-4', messages, ...body }),
    ...init,
  });
}

describe('answers of its own', () => {
  it('are the same whole and streamed, and pass OpenAI’s schema', async () => {
    const whole = expectChatCompletion(await (await chat()).json());
    const { chunks, done } = await readSse(
      await chat({ stream: true, stream_options: { include_usage: true } }),
    );
    const folded = foldChunks(chunks);
    expect(done).toBe(true);
    expect(folded.choices[0]?.message.content).toBe('You just said: good morning');
    expect(folded.choices[0]?.message.content).toBe(whole.choices[0]?.message.content);
    expect(folded.usage).toEqual(whole.usage);
  });

  it('honour an output limit, a forced tool and n', async () => {
    const tools = [
      { type: 'function', function: { name: 'f', parameters: { required: ['city'], properties: {} } } },
    ];
    const short = expectChatCompletion(await (await chat({ max_tokens: 2 })).json());
    const tool = expectChatCompletion(await (await chat({ tools, tool_choice: 'required', n: 2 })).json());
    expect(short.choices[0]).toMatchObject({ finish_reason: 'length', message: { content: 'You just ' } });
    expect(tool.choices).toHaveLength(2);
    expect(tool.choices[1]?.message.tool_calls?.[0]?.function).toEqual({
      name: 'f',
      arguments: '{"city":"Paris"}',
    });
  });

  it('refuse a request without a key in the vendor’s way', async () => {
    const response = await chat({}, { headers: {} });
    expect(response.status).toBe(401);
    expect(await response.json()).toMatchObject({ error: { code: 'invalid_api_key' } });
  });
});

describe('scripts', () => {
  it('answer in order, only what they match, and only so many times', async () => {
    await upstream.script(
      { match: { model: 'other' }, answer: { status: 500, body: { text: 'not for gpt-4' } } },
      { answer: { status: 429, headers: { 'Retry-After': '7' }, body: { json: { a: 1 } } }, times: 2 },
    );
    const responses = [await chat(), await chat(), await chat()];
    expect(responses.map((response) => response.status)).toEqual([429, 429, 200]);
    expect(responses[0]?.headers.get('retry-after')).toBe('7');
    expect(await upstream.state()).toMatchObject({ waiting: 1 });
  });

  it('keep the built-in body when they only add a delay', async () => {
    await upstream.answerNext({ delayMs: 60, body: { builtIn: true } });
    const startMs = performance.now();
    expectChatCompletion(await (await chat()).json());
    expect(performance.now() - startMs).toBeGreaterThan(55);
  });

  it('hold an answer at a gate', async () => {
    await upstream.answerNext({ gate: 'go' });
    const answer = chat();
    await upstream.waitForRequests(1);
    await expect(Promise.race([answer, Promise.resolve('waiting')])).resolves.toBe('waiting');
    await upstream.release('go');
    expect((await answer).status).toBe(200);
  });

  it('stop a body at a gate', async () => {
    await upstream.answerNext({
      body: { sse: 'data: 1\n\ndata: 2\n\n' },
      gateAfter: { gate: 'rest', bytes: 9 },
    });
    const reader = (await chat()).body?.getReader();
    expect(Buffer.from((await reader?.read())?.value ?? []).toString()).toBe('data: 1\n\n');
    await upstream.release('rest');
    expect(Buffer.from((await reader?.read())?.value ?? []).toString()).toBe('data: 2\n\n');
  });
});

describe('faults', () => {
  it.each(['cut', 'reset'] as const)('%s the connection in the body', async (kind) => {
    await upstream.answerNext({ body: { text: 'x'.repeat(100) }, fault: { kind, afterBytes: 40 } });
    const response = await chat();
    await expect(response.text()).rejects.toThrow();
    expect((await upstream.requests())[0]?.bytesSent).toBe(40);
  });

  it.each(['cut', 'reset'] as const)('%s the connection before the headers', async (kind) => {
    await upstream.answerNext({ fault: { kind, afterBytes: 'before-headers' } });
    await expect(chat()).rejects.toThrow();
  });

  it('stall, and notice when the client gives up', async () => {
    await upstream.answerNext({ body: { text: 'x'.repeat(100) }, fault: { kind: 'stall', afterBytes: 40 } });
    const response = await chat({}, { signal: AbortSignal.timeout(200) });
    await expect(response.text()).rejects.toThrow();
    const record = await eventually('the abort is recorded', async () => {
      const [request] = await upstream.requests();
      return request?.abortedAtMs !== undefined && request;
    });
    expect(record.finishedAtMs).toBeUndefined();
  });

  it('send endless bodies and gzip bombs until the client leaves', async () => {
    await upstream.answerNext({ body: { endless: 'body' } });
    const endless = await chat();
    await endless.body?.cancel();
    await upstream.answerNext({ body: { gzipBombBytes: 3_000_000 } });
    const bomb = await chat();
    expect(bomb.headers.get('content-encoding')).toBe('gzip');
    expect((await bomb.arrayBuffer()).byteLength).toBeGreaterThanOrEqual(3_000_000);
  });
});

describe('splitBytes', () => {
  const body = Buffer.from('data: {"a":"é"}\r\n\r\ndata: [DONE]\n\n');

  it.each([
    { kind: 'whole' } as const,
    { kind: 'bytes', size: 1 } as const,
    { kind: 'random', seed: 7, maxBytes: 5 } as const,
    { kind: 'events' } as const,
  ])('loses nothing: $kind', (splitting) => {
    expect(Buffer.concat(splitBytes(body, splitting))).toEqual(body);
  });

  it('is the same for the same seed, and another for another', () => {
    const sizes = (seed: number): number[] =>
      splitBytes(body, { kind: 'random', seed, maxBytes: 8 }).map((piece) => piece.length);
    expect(sizes(1)).toEqual(sizes(1));
    expect(sizes(1)).not.toEqual(sizes(2));
  });

  it('cuts after every event', () => {
    expect(splitBytes(body, { kind: 'events' })).toHaveLength(2);
  });
});
