import { createHmac, createSign, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  createDatabase,
  expectErrorEnvelope,
  type Gateway,
  startGateway,
  type TestDatabase,
  TEST_JWT_SECRET,
} from '@app/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { rawRequest, sendRaw } from '../security/raw-http.js';

const ISSUER = 'https://identity.example/';
const AUDIENCE = 'llm-gateway';

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 });
const PEM = rsa.publicKey.export({ type: 'spki', format: 'pem' }).toString();
const DER = rsa.publicKey.export({ type: 'spki', format: 'der' });

let database: TestDatabase;
let keySet: Server;
let keySetRequests: string[];
let gateway: Gateway;

beforeAll(async () => {
  database = await createDatabase();
  keySetRequests = [];
  keySet = createServer((request, response) => {
    keySetRequests.push(request.url ?? '');
    const keys = [
      { ...rsa.publicKey.export({ format: 'jwk' }), kid: 'rsa-1', use: 'sig', alg: 'RS256' },
      { ...ec.publicKey.export({ format: 'jwk' }), kid: 'ec-1', use: 'sig', alg: 'ES256' },
    ];
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ keys }));
  });
  await new Promise<void>((resolve) => keySet.listen(0, '127.0.0.1', resolve));
  gateway = await startGateway({
    env: {
      DATABASE_URL: database.url,
      JWT_JWKS_URL: `${elsewhere()}/jwks.json`,
      JWT_ISSUER: ISSUER,
      JWT_AUDIENCE: AUDIENCE,
    },
  });
});
afterAll(async () => {
  await gateway.stop();
  keySet.close();
  keySet.closeAllConnections();
  await database.drop();
});

const elsewhere = (): string => `http://127.0.0.1:${(keySet.address() as AddressInfo).port}`;
const now = (): number => Math.floor(Date.now() / 1_000);
const claims = (more: object = {}) => ({
  sub: 'alice',
  iss: ISSUER,
  aud: AUDIENCE,
  iat: now(),
  exp: now() + 600,
  ...more,
});
const encode = (part: unknown): string =>
  Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url');

type Sign = (input: string) => string;
const hmac =
  (key: string | Buffer, hash = 'sha256'): Sign =>
  (input) =>
    createHmac(hash, key).update(input).digest('base64url');
const signed =
  (key: KeyObject, hash = 'sha256'): Sign =>
  (input) =>
    createSign(hash).update(input).sign({ key, dsaEncoding: 'ieee-p1363' }, 'base64url');
const unsigned: Sign = () => '';

function forge(header: unknown, payload: unknown, sign: Sign): string {
  const input = `${encode(header)}.${encode(payload)}`;
  return `${input}.${sign(input)}`;
}

const OURS = hmac(TEST_JWT_SECRET);
const hs = (payload: unknown, header: object = {}): string =>
  forge({ alg: 'HS256', ...header }, payload, OURS);
const rs = (payload: unknown, header: object = {}, key = rsa.privateKey): string =>
  forge({ alg: 'RS256', kid: 'rsa-1', ...header }, payload, signed(key));

const nones = ['none', 'None', 'NONE', 'nOnE', 'none ', '', 'null', 'HS0', 'undefined'];
const own = stranger.publicKey.export({ format: 'jwk' });

/** Each is refused with 401; made when it is sent, because times pass. */
const FORGERIES: readonly (readonly [what: string, token: () => string])[] = [
  ...nones.flatMap((alg) => [
    [
      `alg ${JSON.stringify(alg)} without a signature`,
      () => forge({ alg }, claims({ role: 'admin' }), unsigned),
    ] as const,
    [`alg ${JSON.stringify(alg)} with our signature`, () => forge({ alg }, claims(), OURS)] as const,
  ]),
  ['no alg', () => forge({ typ: 'JWT' }, claims(), OURS)],
  ['alg null', () => forge({ alg: null }, claims(), OURS)],
  ['alg in a list', () => forge({ alg: ['HS256', 'none'] }, claims(), OURS)],
  ['alg an object', () => forge({ alg: { toString: 'HS256' } }, claims(), OURS)],
  ['two algs', () => forge('{"alg":"HS256","alg":"none"}', claims(), unsigned)],
  ['alg of another case', () => forge({ alg: 'hs256' }, claims(), OURS)],
  ['a header that is no object', () => forge('"HS256"', claims(), OURS)],
  ['a header that is no JSON', () => forge('{"alg":"HS256"', claims(), OURS)],

  ['the public key as a secret', () => forge({ alg: 'HS256' }, claims(), hmac(PEM))],
  [
    'the public key as a secret, by its kid',
    () => forge({ alg: 'HS256', kid: 'rsa-1' }, claims(), hmac(PEM)),
  ],
  ['the public key without its last line end', () => forge({ alg: 'HS256' }, claims(), hmac(PEM.trim()))],
  ['the public key’s bytes as a secret', () => forge({ alg: 'HS256' }, claims(), hmac(DER))],
  ['an empty secret', () => forge({ alg: 'HS256' }, claims(), hmac(''))],
  ['a secret that everybody knows', () => forge({ alg: 'HS256' }, claims(), hmac('secret'))],
  [
    'another strength of the same family',
    () => forge({ alg: 'HS512' }, claims(), hmac(TEST_JWT_SECRET, 'sha512')),
  ],
  ['another hash than it says', () => forge({ alg: 'HS256' }, claims(), hmac(TEST_JWT_SECRET, 'sha384'))],
  [
    'a symmetric header over an asymmetric signature',
    () => forge({ alg: 'HS256', kid: 'rsa-1' }, claims(), signed(rsa.privateKey)),
  ],
  ['RS512', () => forge({ alg: 'RS512', kid: 'rsa-1' }, claims(), signed(rsa.privateKey, 'sha512'))],
  ['PS256', () => forge({ alg: 'PS256', kid: 'rsa-1' }, claims(), signed(rsa.privateKey))],
  [
    'ES256 with the RSA key’s kid',
    () => forge({ alg: 'ES256', kid: 'rsa-1' }, claims(), signed(ec.privateKey)),
  ],
  [
    'RS256 with the EC key’s kid',
    () => forge({ alg: 'RS256', kid: 'ec-1' }, claims(), signed(rsa.privateKey)),
  ],
  [
    'a signature of zeros',
    () => forge({ alg: 'ES256', kid: 'ec-1' }, claims(), () => Buffer.alloc(64).toString('base64url')),
  ],
  ['a stranger’s key', () => rs(claims(), {}, stranger.privateKey)],
  ['a stranger’s key in the header', () => rs(claims(), { jwk: own }, stranger.privateKey)],
  ['a stranger’s key set', () => rs(claims(), { jku: `${elsewhere()}/stolen` }, stranger.privateKey)],
  [
    'a stranger’s certificate',
    () => rs(claims(), { x5u: `${elsewhere()}/stolen`, x5c: ['MIIB'] }, stranger.privateKey),
  ],
  ['our own key set named in the header', () => rs(claims(), { jku: `${elsewhere()}/jwks.json` })],
  ['crit', () => hs(claims(), { crit: ['exp'], exp: 0 })],
  ['b64', () => hs(claims(), { b64: false, crit: ['b64'] })],
  ['zip', () => hs(claims(), { zip: 'DEF' })],

  ['kid of a file', () => rs(claims(), { kid: '../../../../dev/null' }, stranger.privateKey)],
  ['kid of an address', () => rs(claims(), { kid: `${elsewhere()}/stolen` }, stranger.privateKey)],
  ['kid of a statement', () => rs(claims(), { kid: "x' UNION SELECT 'secret' --" }, stranger.privateKey)],
  ['kid of a command', () => rs(claims(), { kid: '|/usr/bin/curl evil' }, stranger.privateKey)],
  ['kid of Object’s', () => rs(claims(), { kid: '__proto__' })],
  ['kid in a list', () => rs(claims(), { kid: ['rsa-1'] })],
  ['kid a number', () => rs(claims(), { kid: 0 })],
  ['an endless kid', () => rs(claims(), { kid: 'k'.repeat(2_000) })],

  ['no exp', () => hs({ ...claims(), exp: undefined })],
  ['exp null', () => hs(claims({ exp: null }))],
  ['exp as text', () => hs(claims({ exp: String(now() + 600) }))],
  ['exp beyond numbers', () => hs(JSON.stringify(claims()).replace(/"exp":\d+/, '"exp":1e999'))],
  ['exp below zero', () => hs(claims({ exp: -1 }))],
  ['not valid yet', () => hs(claims({ nbf: now() + 3_600 }))],
  ['issued tomorrow', () => hs(claims({ iat: now() + 86_400 }))],
  ['no issuer', () => hs({ ...claims(), iss: undefined })],
  ['another issuer', () => hs(claims({ iss: 'https://evil.example/' }))],
  ['nearly the issuer', () => hs(claims({ iss: ISSUER.slice(0, -1) }))],
  ['issuers in a list', () => hs(claims({ iss: [ISSUER] }))],
  ['no audience', () => hs({ ...claims(), aud: undefined })],
  ['another audience', () => hs(claims({ aud: 'another-service' }))],
  ['an audience that only begins alike', () => hs(claims({ aud: `${AUDIENCE}-staging` }))],
  ['another audience, signed by the provider', () => rs(claims({ aud: 'another-service' }))],
  ['no subject', () => hs({ ...claims(), sub: undefined })],
  ['a subject that is a statement', () => hs(claims({ sub: "' OR 1=1 --" }))],
  ['a subject that is an object', () => hs(claims({ sub: { $ne: null } }))],
  ['a subject in a list', () => hs(claims({ sub: ['alice'] }))],
  ['a subject with a line break', () => hs(claims({ sub: 'alice\nadmin' }))],
  ['an endless subject', () => hs(claims({ sub: 'a'.repeat(129) }))],
  ['roles in a list', () => hs(claims({ role: ['admin'] }))],
  ['claims in a list', () => hs([claims()])],
  ['claims that are text', () => hs('"alice"')],
  ['claims that are nothing', () => hs('')],

  ['four parts', () => `${hs(claims())}.x`],
  ['two parts', () => hs(claims()).split('.').slice(0, 2).join('.')],
  ['five parts, as an encrypted token', () => 'a.b.c.d.e'],
  ['JSON serialization', () => JSON.stringify({ payload: encode(claims()), signatures: [] })],
  ['half a signature', () => hs(claims()).slice(0, -20)],
  ['a padded signature', () => `${hs(claims())}=`],
  ['a signature in another alphabet', () => hs(claims()).replace(/.$/, '+')],
  ['a changed claim', () => hs(claims()).replace(/\.[^.]+\./, `.${encode(claims({ role: 'admin' }))}.`)],
  [
    'another’s signature',
    () =>
      `${hs(claims({ sub: 'bob' }))
        .split('.')
        .slice(0, 2)
        .join('.')}.${hs(claims()).split('.')[2]}`,
  ],
  ['too large a token', () => hs(claims({ filler: 'x'.repeat(7_500) }))],
];

async function send(token: string): Promise<Response> {
  return fetch(`${gateway.url}/admin/users`, { headers: { authorization: `Bearer ${token}` } });
}

describe('what is accepted', () => {
  it.each([
    ['the secret', () => hs(claims({ role: 'admin' }))],
    ['the identity provider’s RSA key', () => rs(claims({ role: 'admin' }))],
    [
      'its EC key',
      () => forge({ alg: 'ES256', kid: 'ec-1' }, claims({ role: 'admin' }), signed(ec.privateKey)),
    ],
    ['an audience among several', () => hs(claims({ role: 'admin', aud: ['other', AUDIENCE] }))],
  ])('a token signed with %s', async (_what, token) => {
    expect((await send(token())).status).toBe(200);
  });
});

describe('what is refused', () => {
  it.each(FORGERIES)('%s', async (_what, token) => {
    const response = await send(token());
    expect(response.status).toBe(401);
    expect(response.headers.get('www-authenticate')).toMatch(/^Bearer/);
    expect(response.headers.get('x-request-id')).toBeTruthy();
    const envelope = expectErrorEnvelope(await response.json());
    expect(envelope.error.type).toBe('authentication_error');
    expect(envelope.error.code).toMatch(/^(invalid_token|missing_token|token_expired)$/);
  });

  it('a token that has expired, and says so', async () => {
    const response = await send(hs(claims({ exp: now() - 120 })));
    expect(response.status).toBe(401);
    expect(await response.json()).toMatchObject({ error: { code: 'token_expired' } });
  });

  it('a header of two tokens, of another scheme, or too large for any token', async () => {
    const token = hs(claims({ role: 'admin' }));
    const statuses: number[] = [];
    for (const value of [
      `Basic ${token}`,
      `Bearer${token}`,
      `Bearer ${token}, Bearer x`,
      `Token ${token}`,
      `Bearer "${token}"`,
    ]) {
      const { responses } = await sendRaw(
        gateway.port,
        rawRequest('GET', '/admin/users', { authorization: value, connection: 'close' }),
      );
      statuses.push(responses[0]?.status ?? 0);
    }
    expect(statuses).toEqual([401, 401, 401, 401, 401]);
    const huge = rawRequest('GET', '/admin/users', {
      authorization: `Bearer ${'a'.repeat(200_000)}`,
      connection: 'close',
    });
    expect([400, 401, 431]).toContain((await sendRaw(gateway.port, huge)).responses[0]?.status);
  });

  it('without asking anybody but the configured key set', () => {
    expect(keySetRequests.length).toBeGreaterThan(0);
    expect(keySetRequests.filter((url) => url !== '/jwks.json')).toEqual([]);
    // Whatever tokens came: fetched once, and once more at most for all the unknown keys.
    expect(keySetRequests.length).toBeLessThan(5);
  });
});
