import { eventually, ownGateway, readEvents, WITHOUT_LIMITS } from '@app/testing';
import { beforeEach, describe, expect, it } from 'vitest';

/** A dear model, and behind it a cheap one. */
const FILE = `
models:
  dear:
    targets: [{ provider: openai, model: gpt-4o }]
    fallbacks: [cheap]
    price: { input_per_million: "100", output_per_million: "200" }
    context_window: 8192
    max_output_tokens: 1024
  cheap:
    targets: [{ provider: anthropic, model: claude-haiku-4-5 }]
    price: { input_per_million: "1", output_per_million: "2" }
    context_window: 8192
    max_output_tokens: 1024
`;

const OPENAI_USAGE = {
  prompt_tokens: 1000,
  completion_tokens: 5,
  total_tokens: 1005,
  prompt_tokens_details: { cached_tokens: 900 },
};
const ANTHROPIC_MESSAGE = { id: 'msg_1', type: 'message', role: 'assistant', model: 'claude-haiku-4-5' };
const ANTHROPIC_INPUT = { input_tokens: 100, cache_read_input_tokens: 900, cache_creation_input_tokens: 0 };
const GOOGLE_USAGE = {
  promptTokenCount: 1000,
  cachedContentTokenCount: 900,
  candidatesTokenCount: 5,
  totalTokenCount: 1005,
};
const GOOGLE_CANDIDATE = { content: { role: 'model', parts: [{ text: 'Hi' }] }, finishReason: 'STOP' };

/** Anthropic's events have one. */
const nameOf = (event: object): string => ('type' in event ? `event: ${String(event.type)}\n` : '');

/** The table of src/billing/README.md, ending by ending, on the running program with a provider that misbehaves. */
describe('every ending has its price', () => {
  const own = ownGateway(
    {
      ...WITHOUT_LIMITS,
      RETRY_BASE_DELAY: '0.01',
      RETRY_MAX_DELAY: '0.05',
      FIRST_CHUNK_TIMEOUT_SECONDS: '1',
      STREAM_IDLE_TIMEOUT_SECONDS: '1',
      STREAM_HEARTBEAT_SECONDS: '0.3',
      REQUEST_TIMEOUT_SECONDS: '3',
      CIRCUIT_BREAKER_ENABLED: 'false',
    },
    FILE,
  );
  let user = '';
  let users = 0;

  beforeEach(async () => {
    await own.upstream.reset();
    user = `user-${++users}`;
  });

  const ask = (more: Record<string, unknown> = {}, headers: Record<string, string> = {}) =>
    own.gateway.complete(
      { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'one two three four' }], ...more },
      user,
      headers,
    );

  async function money(): Promise<{ spent: number; held: number; charges: { amount: number }[] }> {
    const balance = (await (await own.gateway.fetch('/billing/balance', { as: user })).json()) as {
      balance: number;
      held: number;
    };
    const { transactions } = (await (
      await own.gateway.fetch('/billing/transactions?limit=100', { as: user })
    ).json()) as {
      transactions: { type: string; amount: number }[];
    };
    const charges = transactions.filter((entry) => entry.type === 'charge');
    return { spent: 100 - balance.balance, held: balance.held, charges };
  }

  it('a whole answer: its usage, once, as x-request-cost says', async () => {
    const response = await ask();
    expect(response.status).toBe(200);
    const cost = Number(response.headers.get('x-request-cost'));
    const { spent, held, charges } = await money();
    expect(charges).toHaveLength(1);
    expect(spent).toBeCloseTo(cost, 9);
    expect(held).toBe(0);
  });

  it.each([
    ['openai', 'gpt-4o-mini'],
    ['anthropic', 'claude-haiku-4-5'],
    ['google', 'gemini-2.5-flash'],
  ])(
    '%s, streamed: ends with usage and [DONE], and the charge is there when the end is',
    async (_vendor, model) => {
      const response = await ask({ model, stream: true, stream_options: { include_usage: true } });
      const events: string[] = [];
      for await (const { data } of readEvents(response)) events.push(data);
      expect(events.at(-1)).toBe('[DONE]');
      expect(JSON.parse(events.at(-2) ?? '')).toMatchObject({
        choices: [],
        usage: { total_tokens: expect.any(Number) },
      });
      const { charges, held } = await money();
      expect(charges).toHaveLength(1);
      expect(held).toBe(0);
    },
  );

  it('a whole answer without usage: what we count of it, also where it is a call of a custom tool', async () => {
    const custom = { name: 'write', input: 'one two three four five six' };
    const message = {
      role: 'assistant',
      content: null,
      tool_calls: [{ id: 'call_1', type: 'custom', custom }],
    };
    await own.upstream.answerNext({
      body: { json: { choices: [{ index: 0, message, finish_reason: 'tool_calls' }] } },
    });
    const response = await ask({ tools: [{ type: 'custom', custom: { name: 'write' } }] });
    expect(response.status).toBe(200);
    expect((await money()).charges).toHaveLength(1);
    const [row] = await own.database.query<{ usage_source: string; usage: { outputTokens: number } }>(
      `SELECT usage_source, usage FROM ledger WHERE user_id = $1 AND kind = 'charge'`,
      [user],
    );
    expect(row?.usage_source).toBe('own');
    expect(row?.usage.outputTokens).toBe(7);
  });

  const functionCall = (name: string) => ({ functionCall: { name, args: { long: 'x'.repeat(400) } } });
  it.each([
    ['a call of Gemini’s that is none', { finishReason: 'MALFORMED_FUNCTION_CALL' }, 'content_filter'],
    [
      'calls of Gemini’s of which one is given',
      { content: { parts: [functionCall('f'), functionCall('g')] }, finishReason: 'STOP' },
      'tool_calls',
    ],
  ])('%s, whole and streamed: what Google counted', async (_, candidate, finish) => {
    const usageMetadata = { promptTokenCount: 1000, candidatesTokenCount: 200, totalTokenCount: 1200 };
    const answer = { candidates: [candidate], usageMetadata };
    const tools = ['f', 'g'].map((name) => ({ type: 'function', function: { name } }));
    const request = { model: 'gemini-2.5-flash', tools, parallel_tool_calls: false };
    await own.upstream.answerNext({ body: { json: answer } });
    const whole = (await (await ask(request)).json()) as { choices: { finish_reason: string }[] };
    expect(whole.choices[0]?.finish_reason).toBe(finish);
    await own.upstream.answerNext({ body: { sse: `data: ${JSON.stringify(answer)}\r\n\r\n` } });
    const streamed = await ask({ ...request, stream: true });
    expect(await streamed.text()).toContain(`"finish_reason":"${finish}"`);
    const rows = await eventually('both are booked', async () => {
      const booked = await own.database.query<{ usage_source: string; usage: object }>(
        `SELECT usage_source, usage FROM ledger WHERE user_id = $1 AND kind = 'charge'`,
        [user],
      );
      return booked.length === 2 && booked;
    });
    const usage = { inputTokens: 1000, outputTokens: 200 };
    expect(rows).toMatchObject(Array(2).fill({ usage_source: 'provider', usage }));
    expect((await money()).held).toBe(0);
  });

  it.each([
    [
      "an answer of Gemini's whose prompt was not counted: what we count",
      { candidates: [{ content: { parts: [{ text: 'one two three four' }] }, finishReason: 'STOP' }] },
      4,
    ],
    [
      'a prompt that Gemini blocked and did not count: the prompt',
      { promptFeedback: { blockReason: 'SAFETY' } },
      0,
    ],
  ])('%s', async (_, answer, outputTokens) => {
    await own.upstream.answerNext({
      body: { json: { ...answer, usageMetadata: { candidatesTokenCount: 3 } } },
    });
    expect((await ask({ model: 'gemini-2.5-flash' })).status).toBe(200);
    expect((await money()).spent).toBeGreaterThan(0);
    const [row] = await own.database.query<{ usage_source: string; usage: object }>(
      `SELECT usage_source, usage FROM ledger WHERE user_id = $1 AND kind = 'charge'`,
      [user],
    );
    expect(row).toMatchObject({ usage_source: 'own', usage: { inputTokens: 8, outputTokens } });
  });

  it.each([
    {
      model: 'gpt-4o-mini',
      promptNano: 150_000,
      whole: {
        choices: [{ index: 0, message: { role: 'assistant', content: 'Hi' }, finish_reason: 'stop' }],
        usage: OPENAI_USAGE,
      },
      events: [
        { choices: [{ index: 0, delta: { role: 'assistant', content: 'Hi' }, finish_reason: null }] },
        { choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] },
        { choices: [], usage: OPENAI_USAGE },
      ],
    },
    {
      model: 'claude-haiku-4-5',
      promptNano: 1_000_000,
      whole: {
        ...ANTHROPIC_MESSAGE,
        content: [{ type: 'text', text: 'Hi' }],
        stop_reason: 'end_turn',
        usage: { ...ANTHROPIC_INPUT, output_tokens: 5 },
      },
      events: [
        {
          type: 'message_start',
          message: { ...ANTHROPIC_MESSAGE, content: [], usage: { ...ANTHROPIC_INPUT, output_tokens: 1 } },
        },
        { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
        { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hi' } },
        { type: 'content_block_stop', index: 0 },
        { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 5 } },
        { type: 'message_stop' },
      ],
    },
    {
      model: 'gemini-2.5-flash',
      promptNano: 300_000,
      whole: { candidates: [GOOGLE_CANDIDATE], usageMetadata: GOOGLE_USAGE },
      events: [{ candidates: [GOOGLE_CANDIDATE], usageMetadata: GOOGLE_USAGE }],
    },
  ])(
    '$model, most of the prompt cached: streamed costs what whole costs',
    async ({ model, promptNano, whole, events }) => {
      const sse = events.map((event) => `${nameOf(event)}data: ${JSON.stringify(event)}\n\n`).join('');
      await own.upstream.answerNext({ body: { json: whole } });
      await own.upstream.answerNext({ body: { sse } });
      expect((await ask({ model })).status).toBe(200);
      expect(await (await ask({ model, stream: true })).text()).toContain('[DONE]');
      expect((await money()).charges).toHaveLength(2);
      const rows = await own.database.query<{ nano: number; usage: object; source: string }>(
        `SELECT (-amount_nano)::int AS nano, usage, usage_source AS source
         FROM ledger WHERE user_id = $1 AND kind = 'charge' ORDER BY seq`,
        [user],
      );
      expect(rows[0]).toMatchObject({
        source: 'provider',
        usage: { inputTokens: 1000, cacheReadInputTokens: 900, outputTokens: 5 },
      });
      expect(rows[1]).toEqual(rows[0]);
      // Which is what the prompt alone would cost without the cache.
      expect(rows[0]?.nano).toBeLessThan(promptNano);
    },
  );

  it('429 and 503 before the answer: tried again, charged once', async () => {
    await own.upstream.answerNext({
      status: 429,
      headers: { 'retry-after-ms': '5' },
      body: { json: { error: { message: 'slow' } } },
    });
    await own.upstream.answerNext({
      status: 503,
      body: { text: 'upstream connect error', contentType: 'text/plain' },
    });
    const response = await ask();
    expect(response.status).toBe(200);
    expect(response.headers.get('x-gateway-attempts')).toBe('3');
    expect((await money()).charges).toHaveLength(1);
  });

  it.each([
    ['whole', false],
    ['streamed', true],
  ])('a fallback answers, %s: charged once, at its own price', async (_how, stream) => {
    await own.upstream.answerAlways({ status: 503 }, { vendor: 'openai' });
    const response = await ask({ model: 'dear', stream });
    expect(response.status).toBe(200);
    await response.text();
    expect(response.headers.get('x-gateway-model')).toBe('claude-haiku-4-5');
    expect((await money()).charges).toHaveLength(1);
    const [row] = await own.database.query<{ nano: number; upstream_model: string; due: number }>(
      `SELECT (-amount_nano)::int AS nano, upstream_model,
              (usage->>'inputTokens')::int * 1000 + (usage->>'outputTokens')::int * 2000 AS due
         FROM ledger WHERE user_id = $1 AND kind = 'charge'`,
      [user],
    );
    expect(row).toEqual({ nano: row?.due, upstream_model: 'claude-haiku-4-5', due: expect.any(Number) });
  });

  it('the provider refuses the request: its 400 and message, nothing charged, no retry', async () => {
    await own.upstream.answerAlways({
      status: 400,
      body: {
        json: {
          error: {
            message: 'Bad image.',
            type: 'invalid_request_error',
            param: 'messages',
            code: 'invalid_image',
          },
        },
      },
    });
    const response = await ask();
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      error: { message: expect.stringContaining('Bad image.') },
    });
    expect(await own.upstream.completions()).toHaveLength(1);
    expect(await money()).toMatchObject({ spent: 0, held: 0, charges: [] });
  });

  it('our key is bad: 502, never a 401, and the key is in no message', async () => {
    await own.upstream.answerAlways({
      status: 401,
      body: {
        json: {
          error: { message: 'Incorrect API key provided: sk-fake-openai-key.', code: 'invalid_api_key' },
        },
      },
    });
    const response = await ask();
    const text = await response.text();
    expect(response.status).toBe(502);
    expect(JSON.parse(text)).toMatchObject({ error: { code: 'provider_auth_failed' } });
    expect(text).not.toContain('sk-fake');
    expect((await money()).spent).toBe(0);
  });

  it('the connection is cut in the middle of a stream: an error event, no [DONE], nothing charged', async () => {
    await own.upstream.answerNext({ body: { builtIn: true }, fault: { kind: 'reset', afterBytes: 700 } });
    const response = await ask({ stream: true });
    const events: string[] = [];
    for await (const { data } of readEvents(response)) events.push(data);
    expect(events).not.toContain('[DONE]');
    expect(JSON.parse(events.at(-1) ?? '')).toMatchObject({
      error: { type: 'api_error', code: 'provider_bad_response' },
    });
    expect(await own.upstream.completions()).toHaveLength(1);
    expect(await money()).toMatchObject({ spent: 0, held: 0 });
  });

  it('a stream that ends without its finish is cut, not complete', async () => {
    await own.upstream.answerNext({ body: { builtIn: true }, fault: { kind: 'cut', afterBytes: 700 } });
    const events: string[] = [];
    for await (const { data } of readEvents(await ask({ stream: true }))) events.push(data);
    expect(events).not.toContain('[DONE]');
    expect((await money()).spent).toBe(0);
  });

  it('no answer in time: 504, nothing charged, noted for the operator, not asked again', async () => {
    await own.upstream.answerAlways({
      body: { builtIn: true },
      fault: { kind: 'stall', afterBytes: 'before-headers' },
    });
    const response = await ask();
    expect(response.status).toBe(504);
    expect(await response.json()).toMatchObject({
      error: { type: 'timeout_error', code: 'request_timeout' },
    });
    expect(await money()).toMatchObject({ spent: 0, held: 0 });
    const rows = await own.database.query('SELECT reason FROM unknown_cost WHERE user_id = $1', [user]);
    expect(rows).toEqual([{ reason: 'request_timeout' }]);
    expect(await own.upstream.completions()).toHaveLength(1);
  });

  it('silence before the first chunk of a stream: an error event behind the heartbeats, nothing charged', async () => {
    await own.upstream.answerAlways({
      body: { builtIn: true },
      fault: { kind: 'stall', afterBytes: 'before-headers' },
    });
    const events: string[] = [];
    for await (const { data } of readEvents(await ask({ stream: true }))) events.push(data);
    expect(JSON.parse(events.at(-1) ?? '')).toMatchObject({ error: { code: 'first_chunk_timeout' } });
    expect(await money()).toMatchObject({ spent: 0, held: 0 });
  });

  it('silence in the middle of a stream: an error event after the idle time, nothing charged', async () => {
    await own.upstream.answerNext({ body: { builtIn: true }, fault: { kind: 'stall', afterBytes: 700 } });
    const events: string[] = [];
    for await (const { data } of readEvents(await ask({ stream: true }))) events.push(data);
    expect(JSON.parse(events.at(-1) ?? '')).toMatchObject({ error: { code: 'stream_idle_timeout' } });
    expect((await money()).spent).toBe(0);
  });

  it('the client leaves: upstream aborted within 100 ms, what came is charged by our count', async () => {
    await own.upstream.builtIn({ chunkDelayMs: 40, words: 200 });
    const leave = new AbortController();
    const response = await own.gateway.fetch('/v1/chat/completions', {
      method: 'POST',
      as: user,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        model: 'gpt-4o-mini',
        stream: true,
        messages: [{ role: 'user', content: 'hi' }],
      }),
      signal: leave.signal,
    });
    let leftAtMs = 0;
    await (async () => {
      let seen = 0;
      for await (const event of readEvents(response)) {
        if (event.data && ++seen === 8) {
          leftAtMs = Date.now();
          leave.abort();
        }
      }
    })().catch(() => undefined);
    const aborted = await eventually('the upstream call is aborted', async () => {
      const [request] = await own.upstream.completions();
      return request?.abortedAtMs;
    });
    expect(aborted - leftAtMs).toBeLessThan(100);
    const { charges } = await eventually('the charge', async () => {
      const seen = await money();
      return seen.charges.length > 0 && seen.held === 0 && seen;
    });
    expect(charges).toHaveLength(1);
    const [row] = await own.database.query<{ usage_source: string; usage: { outputTokens: number } }>(
      `SELECT usage_source, usage FROM ledger WHERE user_id = $1 AND kind = 'charge'`,
      [user],
    );
    expect(row?.usage_source).toBe('own');
    expect(row?.usage.outputTokens).toBeGreaterThan(3);
    expect(row?.usage.outputTokens).toBeLessThan(60);
  });

  it('the client leaves when Anthropic has searched: the search is charged, and what it brought', async () => {
    const search = { type: 'server_tool_use', id: 's', name: 'web_search', input: {} };
    const page = { type: 'web_search_result', url: 'https://e.org', encrypted_content: 'x'.repeat(4000) };
    const events = [
      {
        type: 'message_start',
        message: { ...ANTHROPIC_MESSAGE, content: [], usage: { ...ANTHROPIC_INPUT, output_tokens: 1 } },
      },
      { type: 'content_block_start', index: 0, content_block: search },
      { type: 'content_block_stop', index: 0 },
      {
        type: 'content_block_start',
        index: 1,
        content_block: { type: 'web_search_tool_result', tool_use_id: 's', content: [page] },
      },
      { type: 'content_block_stop', index: 1 },
      { type: 'content_block_start', index: 2, content_block: { type: 'text', text: '' } },
      { type: 'content_block_delta', index: 2, delta: { type: 'text_delta', text: 'Found.' } },
    ];
    const sse = events.map((event) => `${nameOf(event)}data: ${JSON.stringify(event)}\n\n`).join('');
    await own.upstream.answerNext({ body: { sse }, fault: { kind: 'stall', afterBytes: sse.length } });
    const leave = new AbortController();
    const response = await own.gateway.fetch('/v1/chat/completions', {
      method: 'POST',
      as: user,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        model: 'claude-haiku-4-5',
        stream: true,
        messages: [{ role: 'user', content: 'hi' }],
        tools: [{ type: 'web_search_20250305', name: 'web_search', max_uses: 2 }],
      }),
      signal: leave.signal,
    });
    await (async () => {
      for await (const { data } of readEvents(response)) if (data.includes('Found.')) leave.abort();
    })().catch(() => undefined);
    await eventually('the charge', async () => (await money()).charges.length === 1);
    const [row] = await own.database.query<{ usage_source: string; usage: { inputTokens: number } }>(
      `SELECT usage_source, usage FROM ledger WHERE user_id = $1 AND kind = 'charge'`,
      [user],
    );
    expect(row).toMatchObject({ usage_source: 'own', usage: { serverToolCalls: { web_search: 1 } } });
    expect(row?.usage.inputTokens).toBeGreaterThan(2000);
    expect((await money()).spent).toBeGreaterThan(0.01);
  });

  it('the client leaves a provider that bills on: read to the end, the provider usage is charged', async () => {
    await own.upstream.builtIn({ chunkDelayMs: 10, words: 40 });
    const leave = new AbortController();
    const response = await own.gateway.fetch('/v1/chat/completions', {
      method: 'POST',
      as: user,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        model: 'gemini-2.5-flash',
        stream: true,
        messages: [{ role: 'user', content: 'hi' }],
      }),
      signal: leave.signal,
    });
    await (async () => {
      for await (const event of readEvents(response)) if (event.data) leave.abort();
    })().catch(() => undefined);
    await eventually('the charge', async () => (await money()).charges.length === 1);
    const [request] = await own.upstream.completions();
    expect(request?.abortedAtMs).toBeUndefined();
    const [row] = await own.database.query<{ usage_source: string }>(
      `SELECT usage_source FROM ledger WHERE user_id = $1 AND kind = 'charge'`,
      [user],
    );
    expect(row?.usage_source).toBe('provider');
  });

  it('heartbeats while a provider thinks', async () => {
    await own.upstream.answerNext({ delayMs: 800, body: { builtIn: true } });
    const response = await ask({ stream: true });
    const text = await response.text();
    expect(text.match(/^: ping$/gm)?.length ?? 0).toBeGreaterThanOrEqual(1);
    expect(text.trimEnd().endsWith('data: [DONE]')).toBe(true);
  });

  it('one Idempotency-Key: two at once and one later, one upstream call, one charge, the same answer', async () => {
    await own.upstream.answerNext({ delayMs: 300, body: { builtIn: true } });
    const key = { 'idempotency-key': `key-${user}` };
    const [first, second] = await Promise.all([ask({}, key), ask({}, key)]);
    const third = await ask({}, key);
    const texts = await Promise.all([first, second, third].map((response) => response.text()));
    expect(new Set(texts).size).toBe(1);
    expect(third.headers.get('x-idempotent-replay')).toBe('true');
    const original = third.headers.get('x-idempotent-request-id') ?? '';
    expect([first, second].map(({ headers }) => headers.get('x-request-id'))).toContain(original);
    expect((await own.gateway.fetch(`/billing/requests/${original}`, { as: user })).status).toBe(200);
    expect(await own.upstream.completions()).toHaveLength(1);
    expect((await money()).charges).toHaveLength(1);
    expect((await ask({ temperature: 1 }, key)).status).toBe(422);
  });

  it.each([
    ['before its first chunk', { delayMs: 600 }, 200],
    ['in the middle', { chunkDelayMs: 20, words: 40 }, 200],
  ])(
    'a client with an Idempotency-Key leaves a stream %s: the retry gets the whole answer, charged once',
    async (_when, pace, leaveAfterMs) => {
      await own.upstream.builtIn(pace);
      const key = { 'idempotency-key': `left-${user}` };
      const request = { stream: true, stream_options: { include_usage: true } };
      await own.gateway
        .fetch('/v1/chat/completions', {
          method: 'POST',
          as: user,
          headers: { 'content-type': 'application/json', ...key },
          body: JSON.stringify({
            model: 'gpt-4o-mini',
            messages: [{ role: 'user', content: 'one two three four' }],
            ...request,
          }),
          signal: AbortSignal.timeout(leaveAfterMs),
        })
        .then((response) => response.text())
        .catch(() => undefined);
      const retry = await ask(request, key);
      const events: string[] = [];
      for await (const { data } of readEvents(retry)) events.push(data);
      expect(events.at(-1)).toBe('[DONE]');
      expect(await own.upstream.completions()).toHaveLength(1);
      const { charges, held } = await money();
      expect(charges).toHaveLength(1);
      expect(held).toBe(0);
    },
  );

  it('a long stream holds its first slice, and more as it goes on; in the end what it cost', async () => {
    await own.upstream.builtIn({ chunkDelayMs: 1, words: 1500 });
    const held = async (): Promise<bigint> => {
      const [row] = await own.database.query<{ amount_nano: string }>(
        'SELECT amount_nano FROM hold WHERE user_id = $1',
        [user],
      );
      return BigInt(row?.amount_nano ?? 0);
    };
    const events = readEvents(await ask({ stream: true, max_tokens: 16_000 }));
    await events.next();
    const first = await held();
    let last = '';
    for await (const { data } of events) last = data;
    expect(last).toBe('[DONE]');
    // A slice is 4,096 tokens of output, 0.0006 USD each thousand; the input of four words is next to nothing.
    expect(first).toBeLessThan(4096n * 600n + 100_000n);
    expect(await held()).toBeGreaterThan(first + 4000n * 600n);
    const { spent, held: left, charges } = await money();
    expect(charges).toHaveLength(1);
    expect(left).toBe(0);
    expect(spent).toBeLessThan(0.01);
  });

  it('a cached answer is free, and a stream is kept as a stream', async () => {
    const first = await ask({ stream: true, temperature: 0 }, { 'x-cache-ttl': '60' });
    const firstText = await first.text();
    expect(first.headers.get('x-cache')).toBe('MISS');
    const second = await ask({ stream: true, temperature: 0 }, { 'x-cache-ttl': '60' });
    expect(second.headers.get('x-cache')).toBe('HIT');
    expect(await second.text()).toBe(firstText);
    expect(await own.upstream.completions()).toHaveLength(1);
    expect((await money()).charges).toHaveLength(1);
  });

  it.each([false, true])(
    'identical requests that may be cached: one upstream call while it runs, one charge (stream: %s)',
    async (stream) => {
      await own.upstream.answerNext({ delayMs: 300, body: { builtIn: true } });
      const responses = await Promise.all([1, 2, 3].map(() => ask({ stream }, { 'x-cache-ttl': '60' })));
      const texts = await Promise.all(responses.map((response) => response.text()));
      expect(new Set(texts.map((text) => text.replaceAll(': ping\n', ''))).size).toBe(1);
      expect(await own.upstream.completions()).toHaveLength(1);
      expect((await money()).charges).toHaveLength(1);
    },
  );

  it.each([false, true])('each of them goes alone when the first is refused (stream: %s)', async (stream) => {
    const body = {
      json: { error: { message: 'no', type: 'invalid_request_error', param: null, code: null } },
    };
    await own.upstream.answerNext({ delayMs: 200, status: 400, body });
    const responses = await Promise.all([1, 2, 3].map(() => ask({ stream }, { 'x-cache-ttl': '60' })));
    expect(responses.map(({ status }) => status).toSorted()).toEqual([200, 200, 400]);
    await Promise.all(responses.map((response) => response.text()));
    expect(await own.upstream.completions()).toHaveLength(3);
    expect((await money()).charges).toHaveLength(2);
  });

  it('an empty balance: 402 that tells SDKs not to retry; the provider is not called', async () => {
    const admin = { sub: 'root', role: 'admin' } as const;
    await money();
    const adjusted = await own.gateway.fetch(`/admin/users/${user}/adjustments`, {
      method: 'POST',
      as: admin,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ amount: '-100' }),
    });
    expect(adjusted.status).toBe(200);
    const response = await ask();
    expect(response.status).toBe(402);
    expect(response.headers.get('x-should-retry')).toBe('false');
    expect(await response.json()).toMatchObject({
      error: { type: 'billing_error', code: 'insufficient_balance' },
    });
    expect(await own.upstream.completions()).toHaveLength(0);
  });

  it('a small balance lowers the output limit that goes own.upstream, when the client named none', async () => {
    await money();
    await own.gateway.fetch(`/admin/users/${user}/adjustments`, {
      method: 'POST',
      as: { sub: 'root', role: 'admin' },
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ amount: '-99.9999' }),
    });
    const response = await ask();
    expect(response.status).toBe(200);
    const [request] = await own.upstream.completions();
    const body = request?.json as { max_tokens?: number; max_completion_tokens?: number };
    const limit = body.max_completion_tokens ?? body.max_tokens ?? Number.NaN;
    expect(limit).toBeGreaterThan(0);
    expect(limit).toBeLessThan(200);
    expect((await ask({ max_tokens: 16_000 })).status).toBe(402);
  });
});
