import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ProviderCall } from '@app/contracts';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { closeLightFetch, createLightFetch } from '../http/light-fetch.js';
import { OPENAI } from './index.js';

const fetch = createLightFetch();
let server: Server | undefined;
afterEach(() => server?.close());
afterAll(() => closeLightFetch(fetch));

const refusal = (param: string) => ({
  error: {
    message: `Unsupported parameter: '${param}' is not supported with this model.`,
    type: 'invalid_request_error',
    param,
    code: null,
  },
});
const answer = {
  id: 'resp_1',
  created_at: 5,
  status: 'completed',
  output: [{ type: 'message', content: [{ type: 'output_text', text: 'Hello' }] }],
};

/** OpenAI, answering one after the other. */
async function openAi(...answers: [status: number, body: unknown][]) {
  const bodies: Record<string, unknown>[] = [];
  server = createServer((request, response) => {
    void request.toArray().then((chunks: Buffer[]) => {
      bodies.push(JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>);
      const [status, body] = answers.shift() ?? [500, {}];
      response
        .writeHead(status, { 'content-type': 'application/json' })
        .end(typeof body === 'string' ? body : JSON.stringify(body));
    });
  });
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  return { strategy: await OPENAI.create({ baseUrl, apiKey: 'sk-test' }, { fetch }), bodies };
}

function call(dropUnsupported: boolean): ProviderCall {
  return {
    request: {
      model: 'client-model',
      messages: [{ role: 'user', content: 'Hi' }],
      temperature: 0.2,
      top_p: 0.9,
    },
    upstreamModel: 'gpt-5-codex',
    clientModel: 'client-model',
    maxOutputTokens: 99,
    requestId: 'req-1',
    signal: new AbortController().signal,
    dropUnsupported,
  };
}

describe('an answer', () => {
  it('has the usage that OpenAI reports', async () => {
    const usage = { input_tokens: 3, output_tokens: 2, total_tokens: 5 };
    const { strategy } = await openAi([200, { ...answer, usage }], [200, answer]);
    expect((await strategy.complete(call(false))).usage).toEqual({ inputTokens: 3, outputTokens: 2 });
    expect((await strategy.complete(call(false))).usage).toBeUndefined();
    expect(strategy.cancelStopsBilling).toBe(true);
  });

  it('streams', async () => {
    const usage = { input_tokens: 3, output_tokens: 2, total_tokens: 5 };
    const told = [
      { type: 'response.output_text.delta', delta: 'Hello' },
      { type: 'response.completed', response: { ...answer, usage } },
    ];
    const { strategy, bodies } = await openAi([
      200,
      told.map((event) => `data: ${JSON.stringify(event)}\n\n`).join(''),
    ]);
    const { events, droppedParams } = await strategy.stream(call(false));
    const found = [];
    for await (const event of events) found.push(event);
    expect(found.map(({ outputText }) => outputText).join('')).toBe('Hello');
    expect(found.at(-1)?.usage).toEqual({ inputTokens: 3, outputTokens: 2 });
    expect([droppedParams, bodies[0]?.stream]).toEqual([[], true]);
  });

  it('names what was left out before it was asked for, too', async () => {
    const { strategy } = await openAi([400, refusal('temperature')], [200, answer]);
    const given = call(true);
    const answered = await strategy.complete({ ...given, request: { ...given.request, seed: 7 } });
    expect(answered.droppedParams).toEqual(['seed', 'temperature']);
  });
});

describe('a field that the model does not take', () => {
  it('is left out and named, where that is allowed', async () => {
    const { strategy, bodies } = await openAi(
      [400, refusal('temperature')],
      [400, refusal('top_p')],
      [200, answer],
    );
    const answered = await strategy.complete(call(true));
    expect(answered.droppedParams).toEqual(['temperature', 'top_p']);
    expect(answered.completion.choices[0]?.message.content).toBe('Hello');
    expect(bodies[2]).not.toHaveProperty('temperature');
    expect(bodies[2]).not.toHaveProperty('top_p');
  });

  it('is refused by name otherwise', async () => {
    const { strategy, bodies } = await openAi([400, refusal('temperature')]);
    await expect(strategy.complete(call(false))).rejects.toMatchObject({
      code: 'unsupported_parameter',
      param: 'temperature',
    });
    expect(bodies).toHaveLength(1);
  });

  it('is never the output limit', async () => {
    const { strategy, bodies } = await openAi([400, refusal('max_output_tokens')]);
    await expect(strategy.complete(call(true))).rejects.toMatchObject({ param: 'max_output_tokens' });
    expect(bodies).toHaveLength(1);
  });
});
