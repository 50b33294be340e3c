import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Answer,
  createDatabase,
  expectErrorEnvelope,
  eventually,
  FakeUpstream,
  type Gateway,
  startGateway,
  type TestDatabase,
} from '@app/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { FREEZE_PROTOTYPES } from '../security/freeze-prototypes.js';
import { residentMiB } from '../security/process-memory.js';
import { RawUpstream } from '../security/raw-upstream.js';

type Vendor = 'openai' | 'anthropic' | 'google';

const VENDORS: readonly Vendor[] = ['openai', 'anthropic', 'google'];
const MODELS = { openai: 'gpt-4', anthropic: 'claude-3-haiku', google: 'gemini-1.5-pro' } as const;

let database: TestDatabase;
let upstream: FakeUpstream;
let raw: RawUpstream;
let gateway: Gateway;
let restMiB: number;

beforeAll(async () => {
  database = await createDatabase();
  upstream = await FakeUpstream.start();
  raw = await RawUpstream.start();
  const configFile = join(inject('runDirectory'), `raw-${process.pid}.yaml`);
  await writeFile(
    configFile,
    `
providers: { raw: { type: openai-compatible, base_url: "${raw.url}/v1" } }
models: { raw: { targets: [{ provider: raw, model: m }], price: { input_per_million: "1", output_per_million: "2" } } }
`,
  );
  gateway = await startGateway({
    env: {
      ...upstream.env,
      DATABASE_URL: database.url,
      NODE_OPTIONS: FREEZE_PROTOTYPES,
      GATEWAY_CONFIG: configFile,
      RETRY_ENABLED: 'false',
      CIRCUIT_BREAKER_ENABLED: 'false',
      BILLING_DEFAULT_BALANCE: '1000',
      RATE_LIMIT_REQUESTS_PER_MINUTE: '100000',
      RATE_LIMIT_REQUESTS_PER_HOUR: '100000',
    },
  });
  for (const vendor of VENDORS) await ask(vendor);
  expect(gateway.logs).toContain('prototypes are frozen');
  restMiB = await residentMiB(gateway.pid);
});
afterAll(async () => {
  await gateway.stop();
  await upstream.stop();
  await raw[Symbol.asyncDispose]();
  await database.drop();
});
beforeEach(() => upstream.reset());

const messages = [{ role: 'user', content: 'Say hello.' }];
const modelOf = (vendor: Vendor | 'raw'): string => (vendor === 'raw' ? 'raw' : MODELS[vendor]);

interface Outcome {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

async function ask(vendor: Vendor | 'raw', more: Record<string, unknown> = {}): Promise<Outcome> {
  const response = await gateway.complete({ model: modelOf(vendor), messages, ...more });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

interface Receipt {
  readonly state: string;
  readonly outcome: string;
  readonly hold: { readonly worst_case: number };
  readonly settlement: { readonly charged: number } | null;
}

async function receiptOf({ headers }: Outcome): Promise<Receipt> {
  const path = `/billing/requests/${headers.get('x-request-id')}`;
  return eventually('the request is over', async () => {
    const receipt = (await (await gateway.fetch(path, { as: 'alice' })).json()) as Receipt;
    return receipt.state !== 'open' && receipt;
  });
}

/** The provider's fault, told as such, for which nobody pays. */
async function expectFailure(outcome: Outcome, status: number | readonly number[] = 502): Promise<void> {
  expect([status].flat(), outcome.text.slice(0, 300)).toContain(outcome.status);
  const { error } = expectErrorEnvelope(JSON.parse(outcome.text));
  expect(error.message.length).toBeLessThan(2_500);
  expect(outcome.text).not.toMatch(/at .*\.js:\d+|node:internal|undici|ECONN/);
  const receipt = await receiptOf(outcome);
  expect(receipt.settlement?.charged ?? 0).toBe(0);
}

/** After whatever happened: nothing is held, nobody waits, and the next answer is a good one. */
async function expectHealthy(): Promise<void> {
  await upstream.reset();
  for (const vendor of VENDORS) expect((await ask(vendor)).status).toBe(200);
  await eventually('nothing is held', async () => {
    const balance = (await (await gateway.fetch('/billing/balance', { as: 'alice' })).json()) as {
      held: number;
    };
    return balance.held === 0;
  });
  expect(await residentMiB(gateway.pid)).toBeLessThan(Math.max(restMiB + 250, 450));
  expect(gateway.exit).toBeUndefined();
  expect(gateway.logs).not.toMatch(/uncaught|unhandled/i);
}

/** A good answer of each vendor with something in it that the test chooses. */
function whole(
  vendor: Vendor,
  { text = 'Hello.', usage, more = {} }: { text?: string; usage?: unknown; more?: object },
): unknown {
  switch (vendor) {
    case 'openai':
      return {
        id: 'chatcmpl-1',
        object: 'chat.completion',
        created: 1_760_000_000,
        model: 'gpt-4-0613',
        choices: [{ index: 0, message: { role: 'assistant', content: text }, finish_reason: 'stop' }],
        usage: usage ?? { prompt_tokens: 9, completion_tokens: 3, total_tokens: 12 },
        ...more,
      };
    case 'anthropic':
      return {
        id: 'msg_1',
        type: 'message',
        role: 'assistant',
        model: 'claude-3-haiku-20240307',
        content: [{ type: 'text', text }],
        stop_reason: 'end_turn',
        usage: usage ?? { input_tokens: 9, output_tokens: 3 },
        ...more,
      };
    case 'google':
      return {
        candidates: [{ content: { role: 'model', parts: [{ text }] }, finishReason: 'STOP', index: 0 }],
        usageMetadata: usage ?? { promptTokenCount: 9, candidatesTokenCount: 3, totalTokenCount: 12 },
        ...more,
      };
  }
}

/** The same as the events of a stream, the text in two pieces. */
function events(
  vendor: Vendor,
  { text = 'Hello.', usage }: { text?: string; usage?: unknown } = {},
): unknown[] {
  const half = Math.ceil(text.length / 2);
  const pieces = [text.slice(0, half), text.slice(half)];
  switch (vendor) {
    case 'openai': {
      const head = { id: 'c', object: 'chat.completion.chunk', created: 1_760_000_000, model: 'm' };
      return [
        ...['', ...pieces].map((content) => ({
          ...head,
          choices: [{ index: 0, delta: { content }, finish_reason: null }],
        })),
        { ...head, choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] },
        {
          ...head,
          choices: [],
          usage: usage ?? { prompt_tokens: 9, completion_tokens: 3, total_tokens: 12 },
        },
      ];
    }
    case 'anthropic':
      return [
        {
          type: 'message_start',
          message: {
            id: 'msg_1',
            type: 'message',
            role: 'assistant',
            model: 'm',
            content: [],
            usage: { input_tokens: 9, output_tokens: 1 },
          },
        },
        { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
        ...pieces.map((piece) => ({
          type: 'content_block_delta',
          index: 0,
          delta: { type: 'text_delta', text: piece },
        })),
        { type: 'content_block_stop', index: 0 },
        { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: usage ?? { output_tokens: 3 } },
        { type: 'message_stop' },
      ];
    case 'google':
      return pieces.map((piece, place) => ({
        candidates: [
          {
            content: { role: 'model', parts: [{ text: piece }] },
            index: 0,
            ...(place === 1 ? { finishReason: 'STOP' } : {}),
          },
        ],
        usageMetadata: usage ?? { promptTokenCount: 9, candidatesTokenCount: 3, totalTokenCount: 12 },
      }));
  }
}

function sse(vendor: Vendor, values: readonly unknown[], lineEnd = '\n'): string {
  const name = (value: unknown): string =>
    vendor === 'anthropic' ? `event: ${String(Reflect.get(Object(value), 'type'))}${lineEnd}` : '';
  const blocks = values.map((value) => `${name(value)}data: ${JSON.stringify(value)}${lineEnd}${lineEnd}`);
  return blocks.join('') + (vendor === 'openai' ? `data: [DONE]${lineEnd}${lineEnd}` : '');
}

describe.each(VENDORS)('%s, answering whole', (vendor) => {
  it.each<[string, Answer]>([
    ['a header without an end', { body: { endless: 'header' } }],
    ['a body without an end', { body: { endless: 'body' } }],
    ['a gigabyte of zeros, compressed', { body: { gzipBombBytes: 2 ** 30 } }],
    ['a page', { body: { text: '<html><body>502</body></html>', contentType: 'text/html' } }],
    ['a page that says 200 and JSON', { body: { text: '<html>', contentType: 'application/json' } }],
    ['nothing', { status: 204 }],
    ['nothing with status 200', { body: { text: '' } }],
    ['half an answer', { body: { text: '{"id":"x","choices":[{"ind', contentType: 'application/json' } }],
    ['bytes that are no text', { body: { base64: '//79/Pv6', contentType: 'application/json' } }],
    ['a number', { body: { json: 1 } }],
    ['null', { body: { json: null } }],
    ['a list', { body: { json: [] } }],
    ['an empty object', { body: { json: {} } }],
    ['an object of other things', { body: { json: { choices: 'none', content: 5, candidates: {} } } }],
    ['a cut connection', { fault: { kind: 'cut', afterBytes: 20 } }],
    ['a reset', { fault: { kind: 'reset', afterBytes: 20 } }],
    ['a reset before anything', { fault: { kind: 'reset', afterBytes: 'before-headers' } }],
    [
      '401: our key is bad',
      { status: 401, body: { json: { error: { message: 'bad key', type: 'authentication_error' } } } },
    ],
    ['a status of its own', { status: 599, body: { text: 'x'.repeat(100_000) } }],
    [
      '1,000 compressions',
      { headers: { 'content-encoding': Array(1_000).fill('gzip').join(', ') }, body: { text: 'x' } },
    ],
  ])('%s', async (_what, answer) => {
    await upstream.answerAlways(answer);
    await expectFailure(await ask(vendor), [502, 503]);
    await expectHealthy();
  });

  it.each([
    ['negative', { p: -5, c: -1_000_000 }],
    ['huge', { p: 1e15, c: 9e15 }],
    ['beyond integers', { p: 1e300, c: 1e308 }],
    ['fractions', { p: 0.5, c: 1.5 }],
    ['text', { p: '9', c: 'NaN' }],
    ['objects', { p: { toString: 1 }, c: [] }],
    ['null', { p: null, c: null }],
  ])('usage that is %s', async (_what, { p, c }) => {
    const usage = {
      openai: {
        prompt_tokens: p,
        completion_tokens: c,
        total_tokens: p,
        prompt_tokens_details: { cached_tokens: c },
      },
      anthropic: {
        input_tokens: p,
        output_tokens: c,
        cache_read_input_tokens: c,
        server_tool_use: { x_requests: c },
      },
      google: {
        promptTokenCount: p,
        candidatesTokenCount: c,
        thoughtsTokenCount: c,
        cachedContentTokenCount: p,
      },
    }[vendor];
    await upstream.answerNext({ body: { json: whole(vendor, { usage }) } });
    const outcome = await ask(vendor, { max_tokens: 50 });
    expect(outcome.status, outcome.text).toBe(200);
    const receipt = await receiptOf(outcome);
    const charged = receipt.settlement?.charged ?? 0;
    expect(receipt.state).toBe('captured');
    expect(charged).toBeGreaterThan(0);
    expect(charged).toBeLessThanOrEqual(receipt.hold.worst_case * 1.1);
    await expectHealthy();
  });

  it('nesting that overflows stacks', async () => {
    const deep = '['.repeat(50_000) + ']'.repeat(50_000);
    const text = JSON.stringify(whole(vendor, { more: { nested: 'HERE' } })).replace('"HERE"', deep);
    await upstream.answerNext({ body: { text, contentType: 'application/json' } });
    const outcome = await ask(vendor);
    expect([200, 502], outcome.text.slice(0, 200)).toContain(outcome.status);
    await expectHealthy();
  });

  it.each(['\r\nx-injected: 1\r\n\r\n', '\u0000', '\ud800', '\u2028', '\u001b[2J', 'é💥'])(
    'the text %j in every field that we pass on',
    async (text) => {
      const spoilt = everyString(whole(vendor, { text }), text);
      await upstream.answerNext({ body: { json: spoilt }, headers: { 'set-cookie': 'a=b', 'x-evil': '1' } });
      const outcome = await ask(vendor);
      expect([200, 502], outcome.text).toContain(outcome.status);
      const names = [...outcome.headers.keys()];
      for (const name of ['x-injected', 'set-cookie', 'x-evil']) expect(names).not.toContain(name);
      await receiptOf(outcome);
      await expectHealthy();
    },
  );

  it('tool arguments that are no JSON', async () => {
    const call = { id: 'call_1', type: 'function', function: { name: 'f', arguments: '{"a": broken' } };
    const answers = {
      openai: {
        choices: [
          {
            index: 0,
            message: { role: 'assistant', content: null, tool_calls: [call] },
            finish_reason: 'tool_calls',
          },
        ],
      },
      anthropic: {
        content: [{ type: 'tool_use', id: 't', name: 'f', input: 'broken' }],
        stop_reason: 'tool_use',
      },
      google: {
        candidates: [
          { content: { parts: [{ functionCall: { name: 'f', args: 'broken' } }] }, finishReason: 'STOP' },
        ],
      },
    };
    await upstream.answerNext({ body: { json: whole(vendor, { more: answers[vendor] }) } });
    const outcome = await ask(vendor, { tools: [{ type: 'function', function: { name: 'f' } }] });
    expect([200, 502], outcome.text).toContain(outcome.status);
    await receiptOf(outcome);
  });

  it('names of tools and requests that no database takes', async () => {
    const usage = {
      input_tokens: 9,
      output_tokens: 3,
      server_tool_use: { 'a\u0000b_requests': 2, '\ud800_requests': 1 },
    };
    await upstream.answerNext({
      body: {
        json: whole(vendor, {
          ...(vendor === 'anthropic' ? { usage } : {}),
          more: { request_id: '\u0000\ud800' },
        }),
      },
      headers: { 'request-id': 'x'.repeat(10_000), 'x-request-id': '\u00ff\u00fe'.repeat(300) },
    });
    const outcome = await ask(vendor);
    expect(outcome.status).toBe(200);
    expect((await receiptOf(outcome)).state).toBe('captured');
    const error = {
      type: 'error',
      error: { type: 'api_error', message: '\u0000' },
      request_id: '\u0000\ud800',
    };
    await upstream.answerNext({ status: 500, body: { json: error } });
    await expectFailure(await ask(vendor), [502, 503]);
    await expectHealthy();
  });

  it.each([
    '1e300',
    '-5',
    'NaN',
    'Infinity',
    '99999999999999999999',
    'Thu, 01 Jan 9999 00:00:00 GMT',
    'soon',
    '',
    '0',
  ])('Retry-After: %s', async (value) => {
    const error = { error: { message: 'slow down', type: 'rate_limit_error' } };
    await upstream.answerNext({ status: 429, headers: { 'retry-after': value }, body: { json: error } });
    const outcome = await ask(vendor);
    await expectFailure(outcome, [429, 503]);
    expect(outcome.headers.get('retry-after')).toMatch(/^[1-9]\d{0,5}$/);
  });
});

/** Puts the text behind every string of the value, names of types apart. */
function everyString(value: unknown, text: string, key = ''): unknown {
  const keep = /^(type|role|object|stop_reason|finish_reason|finishReason)$/;
  if (typeof value === 'string') return keep.test(key) ? value : value + text;
  if (Array.isArray(value)) return value.map((item) => everyString(item, text));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [name, everyString(item, text, name)]),
  );
}

/** What a client makes of a stream: only `data:` lines and comments, and a fair end. */
function expectFrames({ text }: Outcome): { done: boolean; failed: boolean } {
  const frames = text.split('\n\n').filter((frame) => frame !== '');
  for (const frame of frames) {
    expect(frame).toMatch(/^(: ping\n)*data: [^\r\n]*$/);
    if (frame.startsWith('data: {')) JSON.parse(frame.slice(6));
  }
  const done = frames.at(-1) === 'data: [DONE]';
  const failed = (frames.at(-1) ?? '').startsWith('data: {"error"');
  expect(done).not.toBe(failed);
  expect(frames.filter((frame) => frame === 'data: [DONE]')).toHaveLength(done ? 1 : 0);
  return { done, failed };
}

describe.each(VENDORS)('%s, answering as a stream', (vendor) => {
  const stream = { stream: true, stream_options: { include_usage: true } };

  it.each<[string, (good: string) => Answer]>([
    ['a line without an end', () => ({ body: { endless: 'sse-line' } })],
    ['a header without an end', () => ({ body: { endless: 'header' } })],
    ['a page', () => ({ body: { text: '<html>no</html>', contentType: 'text/html' } })],
    ['nothing', () => ({ body: { sse: '' } })],
    ['comments alone', () => ({ body: { sse: ': keep-alive\n\n'.repeat(1_000) } })],
    ['an event that is no JSON', () => ({ body: { sse: 'data: {"choices":[\n\n' } })],
    ['compressed zeros', () => ({ body: { gzipBombBytes: 2 ** 28 } })],
    [
      'an error for an event',
      () => ({
        body: {
          sse: 'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"x"}}\n\n',
        },
      }),
    ],
  ])('%s, before the first chunk', async (_what, answer) => {
    await upstream.answerAlways(answer(''));
    await expectFailure(await ask(vendor, stream), [502, 503]);
    await expectHealthy();
  });

  it.each<[string, (good: string) => string]>([
    ['without its end', (good) => good.slice(0, good.length / 2)],
    [
      'with an event that is no JSON in the middle',
      (good) => good.replace(/(data: [^\n]*\n\n)([^]*)/, '$1data: {oops\n\n$2'),
    ],
    [
      'with nonsense behind its first event',
      (good) => good.replace(/(\n\n)[^]*/, '$1data: 1\n\ndata: null\n\ndata: []\n\n'),
    ],
    [
      'with an endless list behind its first event',
      (good) => good.replace(/(\n\n)[^]*/, `$1data: ${'['.repeat(100_000)}\n\n`),
    ],
  ])('%s: an error at its end, and free', async (_what, spoil) => {
    await upstream.answerNext({ body: { sse: spoil(sse(vendor, events(vendor))) } });
    const outcome = await ask(vendor, stream);
    if (outcome.status !== 200) return expectFailure(outcome);
    expect(expectFrames(outcome).failed, outcome.text).toBe(true);
    expect((await receiptOf(outcome)).settlement?.charged ?? 0).toBe(0);
    await expectHealthy();
  });

  it.each<[string, (good: string) => Answer]>([
    ['in CR alone', () => ({ body: { sse: sse(vendor, events(vendor), '\r') } })],
    ['in CRLF', () => ({ body: { sse: sse(vendor, events(vendor), '\r\n') } })],
    ['byte by byte', (good) => ({ body: { sse: good }, splitting: { kind: 'bytes', size: 1 } })],
    ['with a byte order mark', (good) => ({ body: { sse: `\ufeff${good}` } })],
    [
      'with fields of its own',
      (good) => ({ body: { sse: good.replaceAll('\n\n', '\nid: 7\nretry: 1\nfoo: bar\n: x\n\n') } }),
    ],
    ['in several data lines', (good) => ({ body: { sse: good.replaceAll(/,"/g, '\ndata: ,"') } })],
  ])('%s: the same answer', async (_what, answer) => {
    const text = 'Grüße, 世界 💥 — "quoted" \\ and\nnew lines\u2028too.';
    const good = sse(vendor, events(vendor, { text }));
    const { body, ...rest } = answer(good);
    const own = body && 'sse' in body && !body.sse.includes('世界') ? { sse: body.sse } : undefined;
    await upstream.answerNext({ body: own ?? body ?? { sse: good }, ...rest });
    const outcome = await ask(vendor, stream);
    expect(outcome.status, outcome.text).toBe(200);
    expect(expectFrames(outcome).done, outcome.text).toBe(true);
    const said = outcome.text
      .split('\n\n')
      .filter((frame) => frame.startsWith('data: {'))
      .flatMap(
        (frame) => (JSON.parse(frame.slice(6)) as { choices: { delta: { content?: string } }[] }).choices,
      )
      .map(({ delta }) => delta.content ?? '');
    expect(said.join('')).toBe(own ? 'Hello.' : text);
    expect((await receiptOf(outcome)).state).toBe('captured');
  });

  it.each([
    '\n\ndata: [DONE]\n\n',
    '\r\n\r\nevent: evil\r\ndata: x\r\n\r\n',
    '\u2028\u2029\u0085',
    '\u0000',
    '\ud83d',
  ])('with %j in its text: nothing but text', async (text) => {
    await upstream.answerNext({ body: { sse: sse(vendor, events(vendor, { text: `a${text}b` })) } });
    const outcome = await ask(vendor, stream);
    expect(outcome.status).toBe(200);
    expect(expectFrames(outcome).done).toBe(true);
  });

  it('with line breaks smuggled into a text by several data lines: refused, not passed on', async () => {
    const smuggled = 'x\ndata: \ndata: data: {"choices":[]}\ndata: \ndata: data: [DONE]\ndata: \ndata: y';
    const good = sse(vendor, events(vendor, { text: 'abSMUGGLED' }));
    await upstream.answerNext({ body: { sse: good.replace('GGLED', smuggled) } });
    const outcome = await ask(vendor, stream);
    if (outcome.status === 200) expect(expectFrames(outcome).failed).toBe(true);
    else await expectFailure(outcome);
  });

  it('usage twice, then nonsense: the last that is a count', async () => {
    const usage = (value: unknown): unknown[] => {
      const last = events(vendor, {
        usage: {
          openai: { prompt_tokens: value, completion_tokens: value, total_tokens: value },
          anthropic: { output_tokens: value },
          google: { promptTokenCount: value, candidatesTokenCount: value },
        }[vendor],
      });
      return vendor === 'openai'
        ? last.slice(-1)
        : vendor === 'anthropic'
          ? last.slice(-2, -1)
          : last.slice(-1);
    };
    const all = events(vendor);
    const end = vendor === 'anthropic' ? all.slice(-1) : [];
    const begin = vendor === 'anthropic' ? all.slice(0, -1) : all;
    const values = [...begin, ...usage(5), ...usage(7), ...usage(-1), ...usage(1e300), ...usage('9'), ...end];
    await upstream.answerNext({ body: { sse: sse(vendor, values) } });
    const outcome = await ask(vendor, stream);
    expect(outcome.status).toBe(200);
    const receipt = (await receiptOf(outcome)) as Receipt & {
      settlement: { usage: { outputTokens: number } };
    };
    expect(receipt.state).toBe('captured');
    expect(receipt.settlement.usage.outputTokens).toBe(7);
    await expectHealthy();
  });
});

describe('a provider that does not speak HTTP well', () => {
  const good = JSON.stringify(whole('openai', {}));
  const head = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n';

  it.each([
    ['not at all', 'hello\r\n\r\n'],
    ['another protocol', 'SSH-2.0-OpenSSH_9.6\r\n'],
    ['a status that is none', `HTTP/1.1 abc OK\r\n\r\n${good}`],
    ['two lengths', `${head}content-length: 5\r\ncontent-length: ${good.length}\r\n\r\n${good}`],
    ['a negative length', `${head}content-length: -1\r\n\r\n${good}`],
    [
      'length and chunks',
      `${head}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n5\r\n${good.slice(0, 5)}\r\n0\r\n\r\n`,
    ],
    ['a chunk that lies', `${head}transfer-encoding: chunked\r\n\r\nffffffff\r\n${good}`],
    ['a chunk size that is none', `${head}transfer-encoding: chunked\r\n\r\nxyz\r\n${good}\r\n0\r\n\r\n`],
    ['chunk extensions without an end', `${head}transfer-encoding: chunked\r\n\r\n5;${'x'.repeat(100_000)}`],
    ['less than it said', `${head}content-length: ${good.length + 100}\r\n\r\n${good}`],
    ['a NUL in a header', `${head}x-a: b\u0000c\r\ncontent-length: ${good.length}\r\n\r\n${good}`],
    [
      '100,000 headers',
      `${head}${'x-a: b\r\n'.repeat(100_000)}content-length: ${good.length}\r\n\r\n${good}`,
    ],
    ['informational answers without an end', 'HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n'.repeat(5_000)],
    ['an upgrade', 'HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\nPRI'],
  ])('%s', async (_what, bytes) => {
    raw.answerWith(bytes);
    for (const stream of [false, true]) await expectFailure(await ask('raw', { stream }), [502, 503]);
    expect(gateway.exit).toBeUndefined();
  });

  it('but answers more than it was asked: the second answer is nobody’s', async () => {
    const one = `${head}content-length: ${good.length}\r\n\r\n${good}`;
    const second = good.replace('Hello.', 'stolen');
    raw.answerWith(`${one}${head}content-length: ${second.length}\r\n\r\n${second}`);
    for (let round = 0; round < 4; round++) {
      const { status, text } = await ask('raw');
      if (status === 200) expect(text).not.toContain('stolen');
    }
  });

  it('and keeps the gateway healthy', expectHealthy);
});
