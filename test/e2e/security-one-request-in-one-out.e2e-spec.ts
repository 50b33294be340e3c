import {
  createDatabase,
  expectErrorEnvelope,
  type Gateway,
  mintToken,
  startGateway,
  type TestDatabase,
} from '@app/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RawExchange, sendRaw } from '../security/raw-http.js';

let database: TestDatabase;
let gateway: Gateway;

beforeAll(async () => {
  database = await createDatabase();
  gateway = await startGateway({
    env: {
      DATABASE_URL: database.url,
      ALLOWED_HOSTS: 'api.example.com,*.example.org',
      ECHO_DELAY_MS: '20',
    },
  });
});
afterAll(async () => {
  await gateway.stop();
  await database.drop();
});

const AUTH = `Authorization: Bearer ${mintToken({ sub: 'alice' })}\r\nContent-Type: application/json\r\n`;
const HEAD = `POST /v1/chat/completions HTTP/1.1\r\nHost: api.example.com\r\n${AUTH}`;
const BODY = '{"model":"echo","messages":[{"role":"user","content":"x"}]}';
const HEX = BODY.length.toString(16);
const LENGTH = `Content-Length: ${BODY.length}\r\n`;
/** What a proxy that reads the first request otherwise would have smuggled. */
const SMUGGLED = 'GET /health HTTP/1.1\r\nHost: api.example.com\r\n\r\n';
const CHUNKED = `${HEX}\r\n${BODY}\r\n0\r\n\r\n`;

const send = (bytes: string): Promise<RawExchange> => sendRaw(gateway.port, bytes, { quietMs: 150 });

function expectOneRefusal({ text, responses, closed }: RawExchange, status = 400): void {
  expect(
    responses.map((answer) => answer.status),
    text.slice(0, 300),
  ).toEqual([status]);
  expectErrorEnvelope(JSON.parse(responses[0]?.body ?? ''));
  expect(responses[0]?.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
  expect(responses[0]?.headers['connection']).toBe('close');
  expect(closed).toBe(true);
}

describe('a request whose end can be read in two ways', () => {
  it.each([
    ['two framings', `Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
    ['two framings, the other way round', `Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n`],
    ['two lengths', `${LENGTH}Content-Length: 0\r\n\r\n${BODY}`],
    ['twice the same length', `${LENGTH}${LENGTH}\r\n${BODY}`],
    ['a list of lengths', `Content-Length: ${BODY.length}, ${BODY.length}\r\n\r\n${BODY}`],
    ['a length with a sign', `Content-Length: +${BODY.length}\r\n\r\n${BODY}`],
    ['a negative length', `Content-Length: -1\r\n\r\n${BODY}`],
    ['a length in hex', `Content-Length: 0x10\r\n\r\n${BODY}`],
    ['an endless length', `Content-Length: ${'9'.repeat(30)}\r\n\r\n${BODY}`],
    ['a length with a space before the colon', `Content-Length : 0\r\n\r\n`],
    ['an unknown encoding', `Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`],
    ['an encoding that is not the last', `Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n`],
    ['the encoding identity', `Transfer-Encoding: identity\r\n\r\n`],
    ['an encoding with a space before the colon', `Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n`],
    ['an encoding behind a vertical tab', `Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n`],
    ['two encodings', `Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n`],
    ['an encoding on the next line', `Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n`],
    ['a header on two lines', `X-A: b\r\n c\r\n${LENGTH}\r\n${BODY}`],
    ['a bare line feed between headers', `X: y\n${LENGTH}\r\n${BODY}`],
    ['a bare carriage return between headers', `X: y\r${LENGTH}\r\n${BODY}`],
    ['a NUL in a header', `X: y\x00z\r\n${LENGTH}\r\n${BODY}`],
    ['a header without a name', `: x\r\n${LENGTH}\r\n${BODY}`],
    ['a header without a colon', `foo\r\n${LENGTH}\r\n${BODY}`],
    ['a chunk that ends in a line feed', `Transfer-Encoding: chunked\r\n\r\n${HEX}\n${BODY}\r\n0\r\n\r\n`],
    [
      'a chunk extension that ends in a line feed',
      `Transfer-Encoding: chunked\r\n\r\n${HEX};a\n${BODY}\r\n0\r\n\r\n`,
    ],
    ['a chunk of no size', `Transfer-Encoding: chunked\r\n\r\nzz\r\n${BODY}\r\n0\r\n\r\n`],
    ['a chunk in 0x form', `Transfer-Encoding: chunked\r\n\r\n0x${HEX}\r\n${BODY}\r\n0\r\n\r\n`],
    ['a chunk size and a space', `Transfer-Encoding: chunked\r\n\r\n${HEX} \r\n${BODY}\r\n0\r\n\r\n`],
    [
      'a chunk of an endless size',
      `Transfer-Encoding: chunked\r\n\r\n${'f'.repeat(18)}\r\n${BODY}\r\n0\r\n\r\n`,
    ],
    ['a chunk longer than it says', `Transfer-Encoding: chunked\r\n\r\n1\r\n${BODY}\r\n0\r\n\r\n`],
  ])('%s: one refusal, and the connection is closed', async (_what, rest) => {
    expectOneRefusal(await send(`${HEAD}${rest}${SMUGGLED}`));
  });

  it('bare line feeds throughout, too', async () => {
    expectOneRefusal(await send(`${HEAD}${LENGTH}\r\n${BODY}${SMUGGLED}`.replaceAll('\r\n', '\n')));
  });

  it('a transfer coding that we do not undo is refused, and its end is where its chunks end', async () => {
    const { responses } = await send(`${HEAD}Transfer-Encoding: gzip, chunked\r\n\r\n${CHUNKED}${SMUGGLED}`);
    expect(responses.map(({ status }) => status)).toEqual([415]);
  });

  it('HTTP/1.0 with chunks is refused', async () => {
    expectOneRefusal(
      await send(`${HEAD.replace('1.1', '1.0')}Transfer-Encoding: chunked\r\n\r\n${CHUNKED}${SMUGGLED}`),
    );
  });

  it.each([
    ['plain', `${HEAD}${LENGTH}\r\n${BODY}`],
    ['in chunks', `${HEAD}Transfer-Encoding: chunked\r\n\r\n${CHUNKED}`],
    ['with a chunk extension', `${HEAD}Transfer-Encoding: chunked\r\n\r\n${HEX};a=b\r\n${BODY}\r\n0\r\n\r\n`],
    [
      'with a trailer, which is no header',
      `${HEAD}Transfer-Encoding: chunked\r\n\r\n${HEX}\r\n${BODY}\r\n0\r\nHost: evil.example\r\nAuthorization: Bearer x\r\n\r\n`,
    ],
    [
      'a GET that has a body',
      `GET /v1/models HTTP/1.1\r\nHost: api.example.com\r\n${AUTH}${LENGTH}\r\n${BODY}`,
    ],
  ])('read in one way it is answered, and so is the next: %s', async (_what, bytes) => {
    const { responses, text } = await send(`${bytes}${SMUGGLED}`);
    expect(
      responses.map(({ status }) => status),
      text.slice(0, 300),
    ).toEqual([200, 200]);
    expect(responses[1]?.body).toContain('healthy');
  });

  it.each([
    ['and comes soon', 2, false],
    ['and is not waited for', 400, true],
  ])('the rest of a body that was refused is never the next request %s', async (_what, gapMs, closes) => {
    const evil = `${'x'.repeat(20)}${SMUGGLED}${SMUGGLED}`;
    const start = `POST /v1/chat/completions HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: ${evil.length}\r\n\r\n`;
    const { responses, closed } = await sendRaw(
      gateway.port,
      [`${start}${'x'.repeat(20)}`, SMUGGLED, SMUGGLED],
      { quietMs: 1_500, gapMs },
    );
    expect(responses.map(({ status }) => status)).toEqual([401]);
    expect(closed).toBe(closes);
  });
});

describe('what is no HTTP', () => {
  it.each([
    ['a TLS handshake', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
    ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['HTTP/3.0', 'GET /health HTTP/3.0\r\nHost: api.example.com\r\n\r\n'],
    ['a space in the target', 'GET /v1/models x HTTP/1.1\r\nHost: api.example.com\r\n\r\n'],
    ['a raw byte in the target', 'GET /v1/mod\xe9ls HTTP/1.1\r\nHost: api.example.com\r\n\r\n'],
    ['a method in small letters', 'get /health HTTP/1.1\r\nHost: api.example.com\r\n\r\n'],
    ['a folded first header', 'GET /health HTTP/1.1\r\n Host: api.example.com\r\n\r\n'],
    ['Redis', '*1\r\n$4\r\nPING\r\n'],
  ])('%s is refused in the envelope', async (_what, bytes) => {
    expectOneRefusal(await send(bytes));
  });

  it.each([
    ['one header of 17 KiB', `X: ${'a'.repeat(17 * 1_024)}\r\n`],
    ['many headers', 'a: b\r\n'.repeat(3_500)],
    ['a target of 17 KiB', ''],
  ])('headers beyond 16 KiB are 431: %s', async (_what, headers) => {
    const target = headers === '' ? `/health?${'x'.repeat(17 * 1_024)}` : '/health';
    expectOneRefusal(await send(`GET ${target} HTTP/1.1\r\nHost: api.example.com\r\n${headers}\r\n`), 431);
  });

  it('an expectation that nobody knows is 417', async () => {
    expectOneRefusal(await send(`${HEAD}Expect: magic\r\n${LENGTH}\r\n`), 417);
  });

  it.each([
    ['CONNECT', 'CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n'],
    [
      'an upgrade',
      `GET /v1/models HTTP/1.1\r\nHost: api.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
    ],
    [
      'an upgrade to HTTP/2',
      `GET /v1/models HTTP/1.1\r\nHost: api.example.com\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n`,
    ],
  ])('%s opens no tunnel', async (_what, bytes) => {
    const { responses, closed } = await send(bytes);
    expect(closed || responses.every(({ status }) => status === 401)).toBe(true);
    expect(responses.map(({ status }) => status)).not.toContain(101);
  });

  it('behind an answer that has begun puts no second one into its middle', async () => {
    const stream = BODY.replace('{', '{"stream":true,').replace('"x"', `"${'word '.repeat(50)}"`);
    const request = `${HEAD}Content-Length: ${stream.length}\r\n\r\n${stream}`;
    const { text } = await sendRaw(gateway.port, [request, 'no HTTP at all\r\n\r\n'], { gapMs: 100 });
    expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(text).toContain('data: ');
    expect(text).not.toContain('invalid_http_request');
  });
});

describe('the host', () => {
  const get = (target: string, ...hosts: string[]): Promise<RawExchange> =>
    send(`GET ${target} HTTP/1.1\r\n${hosts.map((host) => `Host: ${host}\r\n`).join('')}${AUTH}\r\n`);

  it.each([
    'evil.example',
    'api.example.com.evil.example',
    'evil.example/api.example.com',
    'evil.example#.example.org',
    'evil.example?.example.org',
    'api.example.com@evil.example',
    'api.example.com:80@evil.example',
    '.example.org',
    'example.org',
    'api.example.com:port',
    'api.example.com, evil.example',
    '',
  ])('%j is refused', async (host) => {
    const { responses } = await get('/v1/models', host);
    expect(responses.map(({ status }) => status)).toEqual([403]);
    expect(responses[0]?.body).toContain('host_not_allowed');
  });

  it.each(['api.example.com', 'API.EXAMPLE.COM:8000', 'a.b.example.org'])('%j is served', async (host) => {
    expect((await get('/v1/models', host)).responses[0]?.status).toBe(200);
  });

  it('has to be there', async () => {
    const { responses } = await get('/v1/models');
    expect(responses[0]?.status).toBe(400);
    expectErrorEnvelope(JSON.parse(responses[0]?.body ?? ''));
  });

  it('is the same wherever it is said, since proxies believe one or the other', async () => {
    const refused = [
      await get('/v1/models', 'api.example.com', 'evil.example'),
      await get('/v1/models', 'evil.example', 'api.example.com'),
      await get('http://evil.example/v1/models', 'api.example.com'),
      await get('http://api.example.com@evil.example/v1/models', 'api.example.com'),
    ];
    expect(refused.map(({ responses }) => responses[0]?.status)).toEqual([403, 403, 403, 403]);
    const same = await get('http://api.example.com/v1/models', 'api.example.com');
    expect(same.responses[0]?.status).toBe(200);
  });
});
