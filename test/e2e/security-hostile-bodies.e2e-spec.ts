import { writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import {
  createDatabase,
  expectChatCompletion,
  expectErrorEnvelope,
  eventually,
  FakeUpstream,
  type Gateway,
  mintToken,
  startGateway,
  type TestDatabase,
} from '@app/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { FREEZE_PROTOTYPES } from '../security/freeze-prototypes.js';
import { residentMiB } from '../security/process-memory.js';
import { rawRequest, sendRaw } from '../security/raw-http.js';

const TOKEN = `Bearer ${mintToken({ sub: 'alice' })}`;
const ADMIN = `Bearer ${mintToken({ sub: 'root', role: 'admin' })}`;
const MODELS = ['echo', 'gpt-4', 'claude-3', 'gemini-1.5-pro'];

let database: TestDatabase;
let upstream: FakeUpstream;
let gateway: Gateway;
let restMiB: number;

beforeAll(async () => {
  database = await createDatabase();
  upstream = await FakeUpstream.start();
  const configFile = join(inject('runDirectory'), `any-${process.pid}.yaml`);
  await writeFile(
    configFile,
    `
providers: { any: { type: openai-compatible, base_url: "${upstream.url}/v1", api_key_env: ANY_KEY } }
models: { "any/*": { targets: [{ provider: any, model: "*" }], price: { input_per_million: "1", output_per_million: "1" } } }
`,
  );
  gateway = await startGateway({
    env: {
      ...upstream.env,
      DATABASE_URL: database.url,
      NODE_OPTIONS: FREEZE_PROTOTYPES,
      GATEWAY_CONFIG: configFile,
      ANY_KEY: 'sk-any',
      RETRY_ENABLED: 'false',
      CIRCUIT_BREAKER_ENABLED: 'false',
      BILLING_DEFAULT_BALANCE: '100000',
      RATE_LIMIT_REQUESTS_PER_MINUTE: '100000',
      RATE_LIMIT_REQUESTS_PER_HOUR: '100000',
    },
  });
  expect((await post(JSON.stringify(good('echo')))).status).toBe(200);
  expect(gateway.logs).toContain('prototypes are frozen');
  restMiB = await residentMiB(gateway.pid);
});
afterAll(async () => {
  await gateway.stop();
  await upstream.stop();
  await database.drop();
});
beforeEach(() => upstream.reset());

const good = (model: string, content: unknown = 'Hello') => ({
  model,
  messages: [{ role: 'user', content }],
});

function post(
  body: string | Buffer,
  headers: Record<string, string> = {},
  path = '/v1/chat/completions',
): Promise<Response> {
  return fetch(gateway.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: TOKEN, ...headers },
    body: typeof body === 'string' ? body : new Uint8Array(body),
  });
}

async function expectRefusal(response: Response, status: number | readonly number[]): Promise<string> {
  const text = await response.text();
  expect([status].flat(), text.slice(0, 300)).toContain(response.status);
  expect(text.length).toBeLessThan(2_000);
  return String(expectErrorEnvelope(JSON.parse(text)).error.code);
}

async function expectHealthy(): Promise<void> {
  expectChatCompletion(await (await post(JSON.stringify(good('echo')))).json());
  expect(gateway.exit).toBeUndefined();
  expect(gateway.logs).not.toMatch(/uncaught|unhandled/i);
}

const nest = (depth: number, open = '[', close = ']'): string => open.repeat(depth) + close.repeat(depth);
const withField = (json: string): string =>
  `{"model":"echo","messages":[{"role":"user","content":"x"}],"x":${json}}`;
const manyKeys = (count: number): string =>
  `{"model":"echo","messages":[{"role":"user","content":"x"}],${Array.from({ length: count }, (_, at) => `"k${at}":${at}`).join(',')}}`;

describe('a body that is', () => {
  it.each<[string, string | Buffer, number | number[]]>([
    ['empty', '', 400],
    ['blank', '  \r\n\t ', 400],
    ['null', 'null', 400],
    ['a number', '1', 400],
    ['text', '"model"', 400],
    ['a list', '[]', 400],
    ['a list of requests', JSON.stringify([good('echo')]), 400],
    ['not JSON', '{model:"echo"}', 400],
    ['JSON with a comment', '{"model":"echo"/**/}', 400],
    ['JSON with a trailing comma', '{"model":"echo",}', 400],
    ['JSON with NaN', withField('NaN'), 400],
    ['two JSON texts', `${JSON.stringify(good('echo'))}{}`, 400],
    ['JSON with a raw NUL', withField('"\u0000"'), 400],
    ['JSON with a raw line break', withField('"\n"'), 400],
    ['cut short', JSON.stringify(good('echo')).slice(0, -5), 400],
    ['Latin-1', Buffer.from(withField('"é"'), 'latin1'), 400],
    ['UTF-16', Buffer.from(`\ufeff${JSON.stringify(good('echo'))}`, 'utf16le'), 400],
    ['UTF-8 of surrogates', Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]), 400],
    ['overlong UTF-8', Buffer.from([0x22, 0xc0, 0xaf, 0x22]), 400],
    ['nested beyond 64 levels', withField(nest(70)), 400],
    ['nested 100,000 levels deep', withField(nest(100_000)), 400],
    ['nested and never closed', withField('['.repeat(1_000_000)), 400],
    [
      'objects nested 100,000 levels deep',
      withField(nest(100_000, '{"a":', '}').replace('{"a":}', '{}')),
      400,
    ],
    ['25,000 different keys', manyKeys(25_000), 400],
    ['300,000 keys', manyKeys(300_000), 400],
    ['300,000 values', withField(`[${'0,'.repeat(300_000)}0]`), 400],
    [
      '20,000 messages',
      JSON.stringify({ model: 'echo', messages: Array(20_000).fill({ role: 'user', content: 'x' }) }),
      400,
    ],
    ['__proto__ at the top', '{"__proto__":{"role":"admin"},"model":"echo","messages":[]}', 400],
    ['__proto__ deep inside', withField('{"a":[{"__proto__":{"polluted":1}}]}'), 400],
    ['__proto__ in escapes', withField('{"\\u005f_proto__":{"polluted":1}}'), 400],
    [
      'constructor at the top',
      '{"constructor":{"prototype":{"polluted":1}},"model":"echo","messages":[]}',
      400,
    ],
    ['constructor null', '{"constructor":null}', 400],
    ['one model too many', '{"model":["echo"],"messages":[{"role":"user","content":"x"}]}', 400],
    ['11 MiB of text', JSON.stringify(good('echo', 'x'.repeat(11 * 2 ** 20))), 413],
  ])('%s is refused', async (_what, body, status) => {
    const startedMs = performance.now();
    await expectRefusal(await post(body), status);
    expect(performance.now() - startedMs).toBeLessThan(2_500);
    await expectHealthy();
  });

  it.each<[string, string]>([
    ['20,000 different keys', manyKeys(19_990)],
    ['the same key 100,000 times', withField(`[${'{"a":1},'.repeat(99_000)}0]`)],
    ['constructor.prototype inside', withField('{"constructor":{"prototype":{"polluted":true}}}')],
    [
      'a tool with hostile names',
      JSON.stringify({
        ...good('echo'),
        tools: [
          {
            type: 'function',
            function: {
              name: 'toString',
              parameters: { type: 'object', properties: { constructor: { type: 'string' }, prototype: {} } },
            },
          },
        ],
      }),
    ],
    [
      'the last of two models',
      '{"model":"no-such-model","messages":[{"role":"user","content":"x"}],"model":"echo"}',
    ],
    ['a byte order mark', `\ufeff${JSON.stringify(good('echo'))}`],
    ['NUL in escapes', JSON.stringify(good('echo', 'a\u0000b'))],
    ['half a surrogate pair', JSON.stringify(good('echo', 'a\ud800b'))],
    ['line ends of every kind', JSON.stringify(good('echo', 'a\r\n\u2028\u2029\u0085b'))],
    [
      '10,000 messages',
      JSON.stringify({ model: 'echo', messages: Array(10_000).fill({ role: 'user', content: 'x' }) }),
    ],
    ['numbers without an end', withField(`[1e999,-1e999,${'9'.repeat(10_000)},0.${'0'.repeat(10_000)}1]`)],
  ])('%s is answered, and soon', async (_what, body) => {
    for (const stream of [false, true]) {
      const startedMs = performance.now();
      const response = await post(body, {}, stream ? '/v1/chat/completions/stream' : undefined);
      const text = await response.text();
      expect([200, 400], text.slice(0, 300)).toContain(response.status);
      expect(performance.now() - startedMs).toBeLessThan(5_000);
    }
    await expectHealthy();
  });

  it('text of 9 MiB, whatever is in it, holds nobody up', async () => {
    const units = ['a', '漢', ' ', '\\u0000', '<|endoftext|>', '💥', '!"#'];
    for (const unit of units) {
      const bytes = Buffer.byteLength(JSON.stringify(unit)) - 2;
      const body = JSON.stringify(good('gpt-4', unit.repeat(Math.floor((9 * 2 ** 20) / bytes))));
      const slowest = watchGoodTraffic();
      const abort = new AbortController();
      // The client that leaves at once is the dearest one: its tokens are counted here.
      const stream = fetch(`${gateway.url}/v1/chat/completions/stream`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: TOKEN },
        body,
        signal: abort.signal,
      })
        .then((response) => response.text())
        .catch(() => '');
      setTimeout(() => abort.abort(), 300);
      await stream;
      expect(await slowest(), JSON.stringify(unit)).toBeLessThan(1_500);
    }
    expect(await residentMiB(gateway.pid)).toBeLessThan(Math.max(restMiB + 500, 700));
  }, 60_000);

  it('has its duplicate keys settled before it is checked: what is checked is what is sent', async () => {
    const body =
      '{"model":"gpt-4","max_tokens":1,"messages":[{"role":"user","content":"a","role":"system"}],"max_tokens":7}';
    expect((await post(body)).status).toBe(200);
    const [sent] = await upstream.completions();
    expect(sent?.body.match(/"max_tokens"|"max_completion_tokens"/g)).toHaveLength(1);
    expect(sent?.json).toMatchObject({ max_tokens: 7, messages: [{ role: 'system' }] });
  });

  it('pollutes no prototype: nobody else’s request is changed by it', async () => {
    for (const model of MODELS) {
      for (const poison of [
        '{"constructor":{"prototype":{"stream":true,"n":5,"role":"admin"}}}',
        '{"prototype":{"n":5}}',
      ]) {
        await (await post(withField(poison).replace('"echo"', `"${model}"`))).text();
      }
    }
    await upstream.reset();
    const answer = await post(JSON.stringify(good('gpt-4')));
    expect(answer.headers.get('content-type')).toContain('application/json');
    expect((await upstream.completions())[0]?.json).not.toHaveProperty('n');
    expect((await gateway.fetch('/admin/users', { as: 'alice' })).status).toBe(403);
  });
});

/** Sends good requests one after the other; the function it gives stops that, and says how long the slowest took, ms. */
function watchGoodTraffic(): () => Promise<number> {
  let running = true;
  let slowestMs = 0;
  const loop = (async () => {
    while (running) {
      const startedMs = performance.now();
      await (await gateway.fetch('/health')).text();
      slowestMs = Math.max(slowestMs, performance.now() - startedMs);
      await sleep(10);
    }
  })();
  return async () => {
    await sleep(1_000);
    running = false;
    await loop;
    return slowestMs;
  };
}

describe('a body in the wrong clothes', () => {
  const json = JSON.stringify(good('echo'));
  const bomb = Buffer.alloc(64 * 2 ** 20, ' ');

  it.each<[string, Buffer, string]>([
    ['gzip', gzipSync(json), 'gzip'],
    ['a gzip bomb', gzipSync(bomb), 'gzip'],
    ['a gzip bomb in a gzip bomb', gzipSync(gzipSync(bomb)), 'gzip, gzip'],
    ['brotli', brotliCompressSync(json), 'br'],
    ['a brotli bomb', brotliCompressSync(bomb), 'br'],
    ['deflate', deflateSync(json), 'deflate'],
    ['zstd', zstdCompressSync(json), 'zstd'],
    ['an encoding that nobody knows', Buffer.from(json), 'x-evil'],
    ['gzip by its other name', gzipSync(json), 'x-gzip'],
    ['gzip in capitals', gzipSync(json), 'GZIP'],
    ['identity and gzip', gzipSync(json), 'identity, gzip'],
  ])('%s is not unpacked', async (_what, body, encoding) => {
    expect(await expectRefusal(await post(body, { 'content-encoding': encoding }), 415)).toBe(
      'unsupported_media_type',
    );
  });

  it.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    `multipart/form-data; boundary=${'-'.repeat(5_000)}`,
    'application/xml',
    'application/jsonp',
    'application/json-patch',
    'application/json; charset=utf-16',
    'application/json; charset=iso-8859-1',
    'application/json; charset=shift_jis',
    'application/json;charset=utf-7',
    'text/json',
    '*/*',
    'application/',
  ])('%s is no JSON', async (type) => {
    expect(await expectRefusal(await post(json, { 'content-type': type }), 415)).toBe(
      'unsupported_media_type',
    );
  });

  it.each([
    'application/json',
    'APPLICATION/JSON',
    'application/json ;charset=UTF-8',
    'application/vnd.api+json',
    'application/json; charset="utf-8"',
  ])('%s is JSON', async (type) => {
    expect((await post(json, { 'content-type': type })).status).toBe(200);
  });

  it.each([
    '\tapplication/json',
    ' application/json',
    'application/json\t',
    'application/json\t;x',
    'application/json;;',
    'application/json, text/plain',
    'text/plain\r\n\tapplication/json',
  ])('%j is validated or refused, never let past', async (type) => {
    const bad = '{"model":5}';
    const { responses } = await sendRaw(
      gateway.port,
      rawRequest(
        'POST',
        '/v1/chat/completions',
        { 'content-type': type, authorization: TOKEN, connection: 'close' },
        bad,
      ),
    );
    expect([400, 415]).toContain(responses[0]?.status);
  });

  it('needs a type', async () => {
    const bytes = rawRequest(
      'POST',
      '/v1/chat/completions',
      { 'content-type': '', authorization: TOKEN, connection: 'close' },
      json,
    );
    expect((await sendRaw(gateway.port, bytes)).responses[0]?.status).toBe(415);
  });
});

describe('a body that does not come as it was announced', () => {
  it('cut short costs nothing but its connection', async () => {
    const body = JSON.stringify(good('echo'));
    const headers = { authorization: TOKEN, 'content-length': String(body.length + 50) };
    for (let round = 0; round < 20; round++) {
      const socket = connect(gateway.port, '127.0.0.1').on('error', () => undefined);
      socket.write(rawRequest('POST', '/v1/chat/completions', headers, body));
      await sleep(20);
      socket.destroy();
    }
    await expectHealthy();
  });

  it('in chunks without an end stops at the limit', async () => {
    const status = await new Promise<number>((resolve, reject) => {
      const request = httpRequest(`${gateway.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: TOKEN, 'transfer-encoding': 'chunked' },
      });
      const piece = 'x'.repeat(64 * 1_024);
      let open = true;
      const more = (): void => {
        while (open && request.write(piece));
        // After a look at the socket: while the gateway takes all of it at once, these drains come without one.
        if (open) request.once('drain', () => setImmediate(more));
      };
      request.on('response', (response) => {
        open = false;
        response.resume();
        resolve(response.statusCode ?? 0);
        request.destroy();
      });
      request.on('error', (error) => (open ? reject(error) : undefined));
      request.write('{"model":"');
      more();
    });
    expect(status).toBe(413);
    expect(await residentMiB(gateway.pid)).toBeLessThan(Math.max(restMiB + 500, 700));
    await expectHealthy();
  });

  it('declared as enormous is refused before it comes', async () => {
    const headers = {
      authorization: TOKEN,
      'content-type': 'application/json',
      'content-length': '99999999999',
    };
    const { responses, closed } = await sendRaw(
      gateway.port,
      rawRequest('POST', '/v1/chat/completions', headers),
      { quietMs: 1_500 },
    );
    expect(responses[0]?.status).toBe(413);
    expect(closed).toBe(true);
  });

  it('of somebody unknown is not waited for', async () => {
    const headers = { 'content-type': 'application/json', 'content-length': '1000000' };
    const startedMs = performance.now();
    const { responses, closed } = await sendRaw(
      gateway.port,
      rawRequest('POST', '/v1/chat/completions', headers),
      { quietMs: 1_500 },
    );
    expect(responses[0]?.status).toBe(401);
    expect(closed).toBe(true);
    expect(performance.now() - startedMs).toBeLessThan(1_000);
  });
});

describe('text that means something to a database', () => {
  const CORPUS = [
    "' OR '1'='1",
    "'; DROP TABLE ledger; --",
    "' UNION SELECT * FROM account --",
    '1; SELECT pg_sleep(5)',
    '$1',
    "%' OR 1=1 --",
    '%',
    '_',
    '\\',
    '%00',
    "x'); DELETE FROM account; --",
    '{"$gt":""}',
    '../../etc/passwd',
    '${7*7}',
    '{{7*7}}',
    'a'.repeat(5_000),
  ];

  it('is text, wherever it comes in', async () => {
    const before = await database.query<{ count: string }>('SELECT count(*) FROM account');
    const faults: string[] = [];
    const note = async (what: string, response: Response): Promise<void> => {
      const text = await response.text();
      if (
        response.status >= 500 ||
        /syntax|pg_|postgres|relation|SELECT/i.test(text.replaceAll(encodeURIComponent(what), ''))
      ) {
        if (!text.includes(what)) faults.push(`${response.status} ${what}: ${text.slice(0, 200)}`);
        else if (response.status >= 500) faults.push(`${response.status} ${what}`);
      }
    };
    for (const text of CORPUS) {
      const part = encodeURIComponent(text);
      const asAdmin = { headers: { authorization: ADMIN, 'content-type': 'application/json' } };
      const startedMs = performance.now();
      await Promise.all([
        ...[
          `users?search=${part}`,
          `users?limit=${part}`,
          `users?offset=${part}`,
          `users/${part}/balance`,
          `reports?group_by=${part}`,
          `reports?from=${part}`,
          `reports?format=${part}`,
          `ledger/audit?examples=${part}`,
        ].map(async (path) => note(text, await fetch(`${gateway.url}/admin/${path}`, asAdmin))),
        ...[
          `billing/transactions?limit=${part}`,
          `billing/usage?from=${part}`,
          `billing/usage?group_by=${part}`,
          `billing/requests/${part}`,
          `v1/models/${part}`,
        ].map(async (path) => note(text, await gateway.fetch(`/${path}`, { as: 'alice' }))),
        (async () => {
          const init = { ...asAdmin, method: 'POST', body: JSON.stringify({ jti: text, reason: text }) };
          await note(text, await fetch(`${gateway.url}/admin/tokens/revoke`, init));
        })(),
        (async () => {
          const init = {
            ...asAdmin,
            method: 'POST',
            body: JSON.stringify({ amount: text, description: text, idempotency_key: text }),
          };
          await note(text, await fetch(`${gateway.url}/admin/users/bob/topups`, init));
        })(),
        (async () => {
          const init = {
            ...asAdmin,
            method: 'POST',
            body: JSON.stringify({ amount: '1', description: text }),
          };
          await note(text, await fetch(`${gateway.url}/admin/users/bob/topups`, init));
        })(),
        (async () => note(text, await post(JSON.stringify(good(text)))))(),
        (async () => note(text, await post(JSON.stringify(good(`any/${text}`)))))(),
        (async () =>
          note(text, await post(JSON.stringify({ ...good('echo'), user: text, metadata: { a: text } }))))(),
      ]);
      expect(performance.now() - startedMs, text).toBeLessThan(4_000);
    }
    for (const text of CORPUS.filter((entry) => /^[\x20-\x7e]+$/.test(entry) && entry.length < 4_000)) {
      for (const name of [
        'authorization',
        'idempotency-key',
        'x-request-id',
        'x-session-id',
        'x-cache-ttl',
        'traceparent',
      ]) {
        await note(text, await post(JSON.stringify(good('echo')), { [name]: text }));
      }
    }
    expect(faults).toEqual([]);
    const after = await database.query<{ count: string }>('SELECT count(*) FROM account');
    expect(Number(after[0]?.count)).toBeGreaterThanOrEqual(Number(before[0]?.count));
    await expectHealthy();
  }, 60_000);

  it.each<[string, string, object?]>([
    ['GET', 'users?search=%00'],
    ['GET', 'users?search=%ED%A0%80'],
    ['GET', 'users/%00/balance'],
    ['POST', 'users/bob/topups', { amount: '1', description: 'a\u0000b' }],
    ['POST', 'users/bob/topups', { amount: '1', description: 'a\ud800b' }],
    ['POST', 'users/bob/topups', { amount: '1', description: null, idempotency_key: null }],
    ['POST', 'users/bob/adjustments', { amount: null }],
    ['POST', 'requests/%00/refund', {}],
    ['POST', 'requests/none/refund', { amount: null, description: null }],
    ['POST', 'tokens/revoke', { jti: 'x', reason: 'a\u0000b' }],
    ['POST', 'tokens/revoke', { jti: null, sub: null, reason: null }],
    ['POST', 'tokens/revoke', { jti: 'x', sub: null, reason: null }],
  ])('and what a database has no text for is no failure: %s %s %j', async (method, path, body) => {
    const response = await fetch(`${gateway.url}/admin/${path}`, {
      method,
      headers: { authorization: ADMIN, 'content-type': 'application/json' },
      ...(body && { body: JSON.stringify(body) }),
    });
    expect([200, 400, 404], await response.text()).toContain(response.status);
  });

  it.each([
    'any/\u0000',
    'any/\ud800',
    'any/x\r\ny',
    'any/\u2028',
    `any/${'é'.repeat(100)}`,
    'any/ ',
    'any/',
  ])('in the name of a model leaves nothing held: %j', async (model) => {
    const response = await post(JSON.stringify(good(model)));
    expect([200, 400, 404], await response.text()).toContain(response.status);
    await eventually('nothing is held', async () => {
      const balance = (await (await gateway.fetch('/billing/balance', { as: 'alice' })).json()) as {
        held: number;
      };
      return balance.held === 0;
    });
  });

  it.each([Number.MAX_SAFE_INTEGER, 1e15, 1e300, -1, 0.5])(
    'asking for %d searches is a matter of money, not a crash',
    async (uses) => {
      const tools = [{ type: 'web_search_20250305', name: 'web_search', max_uses: uses }];
      for (const model of ['claude-3', 'gpt-4', 'echo']) {
        const response = await post(JSON.stringify({ ...good(model), tools }));
        expect([200, 400, 402], `${model}: ${await response.text()}`).toContain(response.status);
        const estimate = await post(JSON.stringify({ ...good(model), tools }), {}, '/billing/estimate');
        expect([200, 400], `${model}: ${await estimate.text()}`).toContain(estimate.status);
      }
    },
  );

  it.each([
    { max_tokens: 100_000_000, n: 128 },
    { max_tokens: 1, n: 128 },
    { max_completion_tokens: 100_000_000, max_tokens: 1 },
  ])('asking for %j answers is, too', async (limits) => {
    for (const model of MODELS) {
      const response = await post(JSON.stringify({ ...good(model), ...limits }));
      expect([200, 400, 402], `${model}: ${await response.text()}`).toContain(response.status);
    }
  });
});

describe('fields that are not the client’s to set', () => {
  const COLUMNS = [
    'id',
    'user_id',
    'balance',
    'balance_nano',
    'held_nano',
    'kind',
    'type',
    'role',
    'is_admin',
    'created_at',
    'actor',
    'counter_account',
    'price_version',
    'hold_id',
    'amount_nano',
    'state',
    'seq',
  ];

  it('are refused by every route that writes', async () => {
    const routes: [string, object][] = [
      ['/admin/users/bob/topups', { amount: '1.00' }],
      ['/admin/users/bob/adjustments', { amount: '1.00' }],
      ['/admin/tokens/revoke', { jti: 'x' }],
      ['/admin/requests/none/refund', {}],
    ];
    const before = await (
      await fetch(`${gateway.url}/admin/users/bob/balance`, { headers: { authorization: ADMIN } })
    ).text();
    for (const [path, body] of routes) {
      for (const column of COLUMNS) {
        const response = await post(
          JSON.stringify({ ...body, [column]: '999' }),
          { authorization: ADMIN },
          path,
        );
        await expectRefusal(response, 400);
      }
    }
    const after = await (
      await fetch(`${gateway.url}/admin/users/bob/balance`, { headers: { authorization: ADMIN } })
    ).text();
    expect(after).toBe(before);
  });

  it('change nothing about who pays or what is asked', async () => {
    const extra = Object.fromEntries(COLUMNS.map((column) => [column, 'bob']));
    for (const model of MODELS)
      expect([200, 400]).toContain((await post(JSON.stringify({ ...good(model), ...extra }))).status);
  });
});
