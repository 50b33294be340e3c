import { createHmac, createPublicKey, createSign, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Controller, Get, type INestApplication } from '@nestjs/common';
import { APP_FILTER, APP_GUARD } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import jwt from 'jsonwebtoken';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { APP_CONFIG, type AppConfig } from '../config/app-config.js';
import { Secret } from '../config/secret.js';
import { GatewayErrorFilter } from '../edge/gateway-error.filter.js';
import { Context, type RequestContext } from '../edge/request-context.js';
import { requestContext } from '../edge/request-context.middleware.js';
import { type GatewayEvent, Telemetry } from '../telemetry/telemetry.js';
import { AdminOnly } from './admin-only.decorator.js';
import { JwtAuthGuard } from './jwt-auth.guard.js';
import { JwtStrategy } from './jwt.strategy.js';
import { Public } from './public.decorator.js';
import { RevokedTokens } from './revoked-tokens.js';
import { TokenKeys } from './token-keys.js';

const SECRET = 'the-secret-of-these-tests-0123456789abcdef';
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const otherRsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const weakRsa = generateKeyPairSync('rsa', { modulusLength: 1024 });
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' });

let calls = 0;

@Controller()
class ProbeController {
  @Get('who')
  who(@Context() context: RequestContext) {
    calls++;
    return { principal: context.principal };
  }

  @Get('admin')
  @AdminOnly()
  admin() {
    calls++;
    return 'ok';
  }

  @Get('open')
  @Public()
  open() {
    return 'open';
  }
}

class BaseController {
  @Get('shared')
  shared() {
    return 'shared';
  }
}

@Public()
@Controller('a')
class OpenController extends BaseController {}

@Controller('b')
class ClosedController extends BaseController {}

interface Running {
  app: INestApplication;
  url: string;
  events: GatewayEvent[];
  revoked: RevokedTokens;
}

async function start(auth: Partial<AppConfig['auth']>): Promise<Running> {
  const config = {
    auth: {
      secret: new Secret(SECRET),
      algorithm: 'HS256',
      jwksUrl: undefined,
      issuer: undefined,
      jwksIssuer: undefined,
      audience: undefined,
      accessTokenExpireMinutes: 60,
      ...auth,
    },
  } satisfies Pick<AppConfig, 'auth'>;
  const module = await Test.createTestingModule({
    controllers: [ProbeController, OpenController, ClosedController],
    providers: [
      { provide: APP_CONFIG, useValue: config },
      TokenKeys,
      JwtStrategy,
      RevokedTokens,
      Telemetry,
      JwtAuthGuard,
      { provide: APP_GUARD, useExisting: JwtAuthGuard },
      { provide: APP_FILTER, useClass: GatewayErrorFilter },
    ],
  }).compile();
  const app = module.createNestApplication({ logger: false });
  app.use(requestContext);
  await app.listen(0, '127.0.0.1');
  const events: GatewayEvent[] = [];
  app.get(Telemetry).addSink({ event: (event) => void events.push(event) });
  return { app, url: await app.getUrl(), events, revoked: app.get(RevokedTokens) };
}

const now = () => Math.floor(Date.now() / 1000);
const encode = (part: unknown) =>
  Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url');
const claims = (more: object = {}) => ({ sub: 'alice', exp: now() + 600, iat: now(), ...more });

/** A token from raw parts: whatever header, whatever key. */
function forge(header: object | string, payload: unknown, sign: (input: string) => string): string {
  const input = `${encode(header)}.${encode(payload)}`;
  return `${input}.${sign(input)}`;
}
const hmac =
  (key: string | Buffer, hash = 'sha256') =>
  (input: string) =>
    createHmac(hash, key).update(input).digest('base64url');
const rsaSign =
  (key: KeyObject, hash = 'sha256') =>
  (input: string) =>
    createSign(hash).update(input).sign(key, 'base64url');
const hs = (payload: unknown, header: object = {}) =>
  forge({ alg: 'HS256', typ: 'JWT', ...header }, payload, hmac(SECRET));
const rs = (payload: object, options: jwt.SignOptions = {}) =>
  jwt.sign(payload, rsa.privateKey, { algorithm: 'RS256', keyid: 'rsa-1', ...options });

const pem = (key: KeyObject) => key.export({ type: 'spki', format: 'pem' }).toString();

async function ask(running: Running, token: string | undefined, path = '/who') {
  const response = await fetch(running.url + path, {
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
  });
  const text = await response.text();
  const body = text.startsWith('{')
    ? (JSON.parse(text) as { error?: { code: string; type: string; message: string }; principal?: object })
    : undefined;
  return {
    status: response.status,
    code: body?.error?.code,
    principal: body?.principal,
    headers: response.headers,
    text,
  };
}

/** A key set server whose answer each test sets. */
class KeySetServer {
  keys: object[] = [];
  requests = 0;
  answer: ((response: import('node:http').ServerResponse) => void) | undefined;
  #server: Server | undefined;

  async start(): Promise<string> {
    this.#server = createServer((_request, response) => {
      this.requests++;
      if (this.answer) return this.answer(response);
      response.setHeader('content-type', 'application/json').end(JSON.stringify({ keys: this.keys }));
    });
    await new Promise<void>((resolve) => this.#server?.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/jwks.json`;
  }

  stop(): void {
    this.#server?.closeAllConnections();
    this.#server?.close();
  }
}

const jwk = (key: KeyObject, more: object) => ({ ...key.export({ format: 'jwk' }), use: 'sig', ...more });

describe('JwtAuthGuard with a shared secret', () => {
  let gateway: Running;
  beforeAll(async () => {
    gateway = await start({});
  });
  afterAll(() => gateway.app.close());
  beforeEach(() => {
    calls = 0;
    gateway.events.length = 0;
  });

  it('lets a valid token in and says who asks', async () => {
    const token = hs(claims({ role: 'admin', models: ['gpt-4'], jti: 'token-1' }));
    const { status, principal } = await ask(gateway, token);
    expect(status).toBe(200);
    expect(principal).toMatchObject({
      userId: 'alice',
      role: 'admin',
      models: ['gpt-4'],
      tokenId: 'token-1',
    });
    expect(gateway.events).toEqual([]);
  });

  it.each(['user_123', 'a', 'auth0|abc', 'me@example.com', 'x'.repeat(128), 'a.b:c-d'])(
    'accepts the user %s',
    async (sub) => {
      expect((await ask(gateway, hs(claims({ sub })))).principal).toMatchObject({
        userId: sub,
        role: 'user',
      });
    },
  );

  it.each([
    ['a role of an identity provider', { role: 'authenticated' }, { role: 'user' }],
    ['no iat', { iat: undefined }, {}],
    ['an exp within the leeway', { exp: now() - 30 }, {}],
    ['an nbf within the leeway', { nbf: now() + 30 }, {}],
    ['an iat within the leeway', { iat: now() + 30 }, {}],
    ['an empty allow-list', { models: [] }, { models: [] }],
    ['an audience nobody asked for', { aud: ['x', 'y'], iss: 'whoever' }, {}],
  ])('accepts %s', async (_what, more, principal) => {
    const answer = await ask(gateway, hs(claims(more)));
    expect(answer.status).toBe(200);
    expect(answer.principal).toMatchObject(principal);
  });

  it('keeps routes closed unless they say otherwise', async () => {
    for (const path of ['/who', '/admin', '/b/shared']) {
      expect(await ask(gateway, undefined, path)).toMatchObject({ status: 401, code: 'missing_token' });
    }
    for (const path of ['/open', '/a/shared']) expect((await ask(gateway, undefined, path)).status).toBe(200);
    expect((await ask(gateway, 'garbage', '/open')).status).toBe(200);
    expect(calls).toBe(0);
  });

  it('keeps routes closed for every way to write them', async () => {
    for (const path of ['/WHO', '/who/', '/%77ho', '/who?x=1', '//who', '/who;a=b', '/./who']) {
      for (const method of ['GET', 'HEAD', 'POST', 'OPTIONS']) {
        const response = await fetch(gateway.url + path, { method });
        expect([401, 404], `${method} ${path}`).toContain(response.status);
      }
    }
    expect(calls).toBe(0);
  });

  it('wants the role for admin routes', async () => {
    expect(await ask(gateway, hs(claims()), '/admin')).toMatchObject({ status: 403, code: 'admin_only' });
    expect(gateway.events.at(-1)).toMatchObject({ code: 'admin_only', path: '/admin', userId: 'alice' });
    for (const role of ['Admin', 'ADMIN', 'admin ', 'root', 'superadmin']) {
      expect(await ask(gateway, hs(claims({ role })), '/admin')).toMatchObject({ status: 403 });
    }
    expect((await ask(gateway, hs(claims({ role: 'admin' })), '/admin')).status).toBe(200);
    expect(calls).toBe(1);
  });

  it.each([
    ['no header', undefined, 'missing_token'],
    ['an empty one', '', 'missing_token'],
    ['the scheme alone', 'Bearer', 'missing_token'],
    ['the scheme and blanks', 'Bearer    ', 'missing_token'],
    ['another scheme', `Basic ${Buffer.from('a:b').toString('base64')}`, 'missing_token'],
    ['a token without scheme', hs(claims()), 'missing_token'],
    ['a wrong scheme', `Token ${hs(claims())}`, 'missing_token'],
    ['two tokens', `Bearer ${hs(claims())} ${hs(claims())}`, 'invalid_token'],
    ['a comma list', `Bearer ${hs(claims())}, Bearer ${hs(claims())}`, 'invalid_token'],
    ['a quoted token', `Bearer "${hs(claims())}"`, 'invalid_token'],
    ['an API key', 'Bearer sk-1234567890', 'invalid_token'],
    ['an injection', "Bearer ' OR 1=1 --", 'invalid_token'],
  ])('refuses %s', async (_what, authorization, code) => {
    const headers = authorization === undefined ? undefined : { authorization };
    const response = await fetch(`${gateway.url}/who`, headers ? { headers } : {});
    expect(response.status).toBe(401);
    expect(response.headers.get('www-authenticate')).toMatch(/^Bearer realm=/);
    expect(((await response.json()) as { error: object }).error).toMatchObject({
      code,
      type: 'authentication_error',
      param: null,
    });
    expect(calls).toBe(0);
  });

  it('takes the scheme in any case, as HTTP does', async () => {
    for (const scheme of ['bearer', 'BEARER', 'Bearer  ']) {
      const response = await fetch(`${gateway.url}/who`, {
        headers: { authorization: `${scheme} ${hs(claims())}` },
      });
      expect(response.status).toBe(200);
    }
  });

  it('has no second door', async () => {
    const token = hs(claims());
    const tries: [string, Record<string, string>][] = [
      ['/who', { 'x-api-key': token }],
      ['/who', { 'api-key': token }],
      ['/who', { cookie: `token=${token}; jwt=${token}` }],
      [`/who?token=${token}&access_token=${token}&auth_token=${token}`, {}],
      ['/who', { 'x-access-token': token }],
      ['/who', { 'proxy-authorization': `Bearer ${token}` }],
    ];
    for (const [path, headers] of tries)
      expect((await fetch(gateway.url + path, { headers })).status).toBe(401);
    expect(calls).toBe(0);
  });

  it.each([
    'none',
    'None',
    'NONE',
    'nOnE',
    '',
    'HS384',
    'HS512',
    'hs256',
    'RS256',
    'ES256',
    'PS256',
    'EdDSA',
    'HS256 ',
    'HS256\u0000',
  ])('refuses the algorithm %j', async (alg) => {
    for (const signature of ['', hmac(SECRET), hmac('')]) {
      const token = forge({ alg }, claims(), typeof signature === 'string' ? () => signature : signature);
      expect(await ask(gateway, token)).toMatchObject({ status: 401, code: 'invalid_token' });
    }
    expect(calls).toBe(0);
  });

  it.each([
    ['no alg', { typ: 'JWT' }],
    ['an alg that is a list', { alg: ['HS256'] }],
    ['an alg that is null', { alg: null }],
    ['an alg that is an object', { alg: { toString: 'HS256' } }],
    ['a key of its own', { alg: 'HS256', jwk: { kty: 'oct', k: encode('attacker') } }],
    ['an address of keys', { alg: 'HS256', jku: 'http://127.0.0.1:9/jwks' }],
    ['an address of a certificate', { alg: 'HS256', x5u: 'http://127.0.0.1:9/cert' }],
    ['a certificate', { alg: 'HS256', x5c: ['MIIB'] }],
    ['critical extensions', { alg: 'HS256', crit: ['exp'] }],
    ['an unencoded payload', { alg: 'HS256', b64: false }],
    ['compression', { alg: 'HS256', zip: 'DEF' }],
    ['a kid that is a list', { alg: 'HS256', kid: ['a'] }],
    ['a huge kid', { alg: 'HS256', kid: 'k'.repeat(300) }],
    ['a header that is a list', ['HS256']],
    ['a header that is text', '"HS256"'],
    ['a header that is no JSON', '{alg:HS256}'],
    ['a header that is null', 'null'],
  ])('refuses a header with %s', async (_what, header) => {
    expect(await ask(gateway, forge(header, claims(), hmac(SECRET)))).toMatchObject({
      status: 401,
      code: 'invalid_token',
    });
    expect(calls).toBe(0);
  });

  it.each([
    '../../../../dev/null',
    "x' UNION SELECT 'secret",
    'http://evil/key',
    '/proc/self/environ',
    '\u0000',
  ])('ignores the kid %j: the key is the secret', async (kid) => {
    expect((await ask(gateway, hs(claims(), { kid }))).status).toBe(200);
    expect((await ask(gateway, forge({ alg: 'HS256', kid }, claims(), hmac('')))).status).toBe(401);
  });

  it.each([
    ['another secret', forge({ alg: 'HS256' }, claims(), hmac('another-secret'))],
    ['the empty secret', forge({ alg: 'HS256' }, claims(), hmac(''))],
    ['an upper-case secret', forge({ alg: 'HS256' }, claims(), hmac(SECRET.toUpperCase()))],
    ['the hash of another algorithm', forge({ alg: 'HS256' }, claims(), hmac(SECRET, 'sha512'))],
    ['a cut signature', hs(claims()).slice(0, -5)],
    ['no signature', `${hs(claims()).split('.').slice(0, 2).join('.')}.`],
    ['two parts', hs(claims()).split('.').slice(0, 2).join('.')],
    ['four parts', `${hs(claims())}.x`],
    ['five parts, as if encrypted', `${hs(claims())}.a.b`],
    ['a changed payload', hs(claims()).replace(/\.[^.]+\./, `.${encode(claims({ sub: 'bob' }))}.`)],
    ['plain base64', hs(claims()).replace(/_|-/g, '+') + '='],
  ])('refuses a token with %s', async (_what, token) => {
    expect(await ask(gateway, token)).toMatchObject({ status: 401, code: 'invalid_token' });
    expect(calls).toBe(0);
  });

  it.each([
    ['exp in the past', { exp: now() - 61 }, 'token_expired'],
    ['no exp', { exp: undefined }, 'invalid_token'],
    ['exp as text', { exp: String(now() + 600) }, 'invalid_token'],
    ['exp null', { exp: null }, 'invalid_token'],
    ['exp 0', { exp: 0 }, 'token_expired'],
    ['exp negative', { exp: -1 }, 'token_expired'],
    ['nbf in the future', { nbf: now() + 120 }, 'invalid_token'],
    ['nbf as text', { nbf: 'now' }, 'invalid_token'],
    ['iat in the future', { iat: now() + 120 }, 'invalid_token'],
    ['iat as text', { iat: 'now' }, 'invalid_token'],
    ['iat negative', { iat: -1 }, 'invalid_token'],
    ['no sub', { sub: undefined }, 'invalid_token'],
    ['an empty sub', { sub: '' }, 'invalid_token'],
    ['a long sub', { sub: 'x'.repeat(129) }, 'invalid_token'],
    ['a sub with a blank', { sub: 'a b' }, 'invalid_token'],
    ['a sub with a slash', { sub: '../admin' }, 'invalid_token'],
    ['a sub with a line break', { sub: 'alice\n' }, 'invalid_token'],
    ['a sub with a quote', { sub: "a'--" }, 'invalid_token'],
    ['a sub in Unicode', { sub: 'аlice' }, 'invalid_token'],
    ['a sub that is a number', { sub: 5 }, 'invalid_token'],
    ['a sub that is an object', { sub: { $ne: null } }, 'invalid_token'],
    ['a sub that is a list', { sub: ['alice'] }, 'invalid_token'],
    ['a role that is a list', { role: ['admin'] }, 'invalid_token'],
    ['a role that is an object', { role: { admin: true } }, 'invalid_token'],
    ['a role that is null', { role: null }, 'invalid_token'],
    ['models as text', { models: 'gpt-4' }, 'invalid_token'],
    ['models null', { models: null }, 'invalid_token'],
    ['models with a number', { models: ['gpt-4', 5] }, 'invalid_token'],
    ['a jti that is a number', { jti: 5 }, 'invalid_token'],
    ['a jti with a line break', { jti: 'a\nb' }, 'invalid_token'],
  ])('refuses claims with %s', async (_what, more, code) => {
    expect(await ask(gateway, hs(claims(more)))).toMatchObject({ status: 401, code });
    expect(calls).toBe(0);
  });

  it.each([
    ['text', '"alice"'],
    ['a list', '["alice"]'],
    ['null', 'null'],
    ['a number', '5'],
    ['no JSON', '{sub:1}'],
    ['nothing', ''],
    ['an endless exp', `{"sub":"alice","exp":1e999}`],
    ['a huge exp', `{"sub":"alice","exp":1e300}`],
    ['a prototype', `{"__proto__":{"sub":"alice","exp":${now() + 600}}}`],
    ['a doubled sub that ends badly', `{"sub":"alice","exp":${now() + 600},"sub":7}`],
  ])('refuses a payload that is %s', async (_what, payload) => {
    expect(await ask(gateway, hs(payload))).toMatchObject({ status: 401, code: 'invalid_token' });
    expect(calls).toBe(0);
  });

  it('refuses a token that is too large, whatever is in it', async () => {
    const large = hs(claims({ padding: 'x'.repeat(7000) }));
    expect(large.length).toBeGreaterThan(8192);
    expect(await ask(gateway, large)).toMatchObject({ status: 401, code: 'invalid_token' });
  });

  it('never shows a token or the secret, and tells telemetry of each refusal', async () => {
    const { text } = await ask(gateway, forge({ alg: 'HS256' }, claims({ sub: 'mallory' }), hmac('x')));
    expect(text).not.toMatch(/mallory|eyJ|jwt|secret/i);
    expect(gateway.events).toMatchObject([
      { kind: 'auth-failure', code: 'invalid_token', userId: undefined },
    ]);
    expect(JSON.stringify(gateway.events)).not.toMatch(/mallory|eyJ/);
  });

  it('remembers a verified token, yet neither beyond its exp nor against a revocation', async () => {
    const token = hs(claims({ sub: 'carol', jti: 'to-revoke' }));
    for (let index = 0; index < 3; index++) expect((await ask(gateway, token)).status).toBe(200);
    const similar = `${token.slice(0, -1)}${token.endsWith('A') ? 'B' : 'A'}`;
    expect((await ask(gateway, `${similar.slice(0, -3)}AAA`)).status).toBe(401);
    gateway.revoked.add({ kind: 'jti', value: 'to-revoke', revokedAt: now() });
    expect(await ask(gateway, token)).toMatchObject({ status: 401, code: 'invalid_token' });
    expect((await ask(gateway, hs(claims({ sub: 'carol', jti: 'another' })))).status).toBe(200);
  });

  it('revokes everything a user was given until then', async () => {
    gateway.revoked.add({ kind: 'sub', value: 'dave', revokedAt: now() - 10.5 });
    const given = (iat: number | undefined) =>
      ask(gateway, hs(claims({ sub: 'dave', iat }))).then(({ status }) => status);
    expect([
      await given(now() - 20),
      await given(now() - 11),
      await given(undefined),
      await given(now()),
    ]).toEqual([401, 401, 401, 200]);
  });
});

describe('JwtAuthGuard with issuer and audience', () => {
  let gateway: Running;
  beforeAll(async () => {
    gateway = await start({ issuer: 'https://idp.example', audience: 'gateway' });
  });
  afterAll(() => gateway.app.close());

  it.each([
    [{ iss: 'https://idp.example', aud: 'gateway' }, 200],
    [{ iss: 'https://idp.example', aud: ['other', 'gateway'] }, 200],
    [{ iss: 'https://idp.example', aud: ['other'] }, 401],
    [{ iss: 'https://idp.example', aud: [] }, 401],
    [{ iss: 'https://idp.example', aud: 'gateway2' }, 401],
    [{ iss: 'https://idp.example', aud: { 0: 'gateway' } }, 401],
    [{ iss: 'https://idp.example' }, 401],
    [{ iss: 'https://idp.example/', aud: 'gateway' }, 401],
    [{ iss: ['https://idp.example'], aud: 'gateway' }, 401],
    [{ aud: 'gateway' }, 401],
  ])('answers %j with %i', async (more, status) => {
    expect((await ask(gateway, hs(claims(more)))).status).toBe(status);
  });
});

describe('JwtAuthGuard with an identity provider', () => {
  const provider = new KeySetServer();
  let url: string;
  let gateway: Running;
  beforeAll(async () => {
    url = await provider.start();
    provider.keys = [
      jwk(rsa.publicKey, { kid: 'rsa-1', alg: 'RS256' }),
      jwk(ec.publicKey, { kid: 'ec-1' }),
      jwk(weakRsa.publicKey, { kid: 'weak' }),
      jwk(p384.publicKey, { kid: 'p384' }),
      { kty: 'oct', kid: 'oct', k: encode('symmetric-key-in-a-public-set!!!'), alg: 'HS256' },
      jwk(otherRsa.publicKey, { kid: 'for-encryption', use: 'enc' }),
    ];
    gateway = await start({ jwksUrl: url, jwksIssuer: 'https://idp.example/auth/v1' });
  });
  afterAll(async () => {
    await gateway.app.close();
    provider.stop();
  });
  beforeEach(() => {
    calls = 0;
  });
  const issued = (more: object = {}) => claims({ iss: 'https://idp.example/auth/v1', ...more });

  it('accepts RS256 and ES256 by their kid, and the secret beside them', async () => {
    expect((await ask(gateway, rs(issued()))).principal).toMatchObject({ userId: 'alice' });
    const es = jwt.sign(issued(), ec.privateKey, { algorithm: 'ES256', keyid: 'ec-1' });
    expect((await ask(gateway, es)).status).toBe(200);
    expect((await ask(gateway, hs(claims()))).status).toBe(200);
    expect(provider.requests).toBe(1);
  });

  it('wants its issuer of the provider’s tokens only', async () => {
    expect(await ask(gateway, rs(claims({ iss: 'https://evil.example' })))).toMatchObject({
      status: 401,
      code: 'invalid_token',
    });
    expect(await ask(gateway, rs(claims()))).toMatchObject({ status: 401 });
  });

  it.each([
    [
      'HS256 signed with the public key as text',
      () => forge({ alg: 'HS256', kid: 'rsa-1' }, issued(), hmac(pem(rsa.publicKey))),
    ],
    [
      'HS256 signed with the public key, trimmed',
      () => forge({ alg: 'HS256', kid: 'rsa-1' }, issued(), hmac(pem(rsa.publicKey).trim())),
    ],
    [
      'HS256 signed with the public key as DER',
      () =>
        forge(
          { alg: 'HS256', kid: 'rsa-1' },
          issued(),
          hmac(rsa.publicKey.export({ type: 'spki', format: 'der' })),
        ),
    ],
    [
      'HS256 signed with the modulus',
      () =>
        forge(
          { alg: 'HS256', kid: 'rsa-1' },
          issued(),
          hmac(String(rsa.publicKey.export({ format: 'jwk' }).n)),
        ),
    ],
    [
      'HS256 signed with a symmetric key of the set',
      () => forge({ alg: 'HS256', kid: 'oct' }, issued(), hmac('symmetric-key-in-a-public-set!!!')),
    ],
    ['RS256 signed with the secret', () => forge({ alg: 'RS256', kid: 'rsa-1' }, issued(), hmac(SECRET))],
    ['RS512', () => jwt.sign(issued(), rsa.privateKey, { algorithm: 'RS512', keyid: 'rsa-1' })],
    ['PS256', () => jwt.sign(issued(), rsa.privateKey, { algorithm: 'PS256', keyid: 'rsa-1' })],
    ['ES384', () => jwt.sign(issued(), p384.privateKey, { algorithm: 'ES384', keyid: 'p384' })],
    ['a weak RSA key', () => forge({ alg: 'RS256', kid: 'weak' }, issued(), rsaSign(weakRsa.privateKey))],
    [
      'a key for encryption',
      () => jwt.sign(issued(), otherRsa.privateKey, { algorithm: 'RS256', keyid: 'for-encryption' }),
    ],
    [
      'another key under a known kid',
      () => jwt.sign(issued(), otherRsa.privateKey, { algorithm: 'RS256', keyid: 'rsa-1' }),
    ],
    [
      'an ES256 kid for RS256',
      () => jwt.sign(issued(), rsa.privateKey, { algorithm: 'RS256', keyid: 'ec-1' }),
    ],
    [
      'an unknown kid',
      () => jwt.sign(issued(), otherRsa.privateKey, { algorithm: 'RS256', keyid: 'nobody' }),
    ],
    [
      'its own jwk',
      () =>
        forge(
          { alg: 'RS256', kid: 'rsa-1', jwk: otherRsa.publicKey.export({ format: 'jwk' }) },
          issued(),
          rsaSign(otherRsa.privateKey),
        ),
    ],
    ['its own jku', () => forge({ alg: 'RS256', kid: 'rsa-1', jku: url }, issued(), rsaSign(rsa.privateKey))],
    ['its own x5u', () => forge({ alg: 'RS256', kid: 'rsa-1', x5u: url }, issued(), rsaSign(rsa.privateKey))],
    [
      'its own x5c',
      () =>
        forge(
          { alg: 'RS256', kid: 'rsa-1', x5c: [pem(otherRsa.publicKey)] },
          issued(),
          rsaSign(otherRsa.privateKey),
        ),
    ],
    [
      'an ES256 signature of zeros',
      () => forge({ alg: 'ES256', kid: 'ec-1' }, issued(), () => Buffer.alloc(64).toString('base64url')),
    ],
    [
      'an ES256 signature in DER',
      () =>
        forge({ alg: 'ES256', kid: 'ec-1' }, issued(), (input) =>
          createSign('sha256').update(input).sign(ec.privateKey, 'base64url'),
        ),
    ],
    [
      'no exp',
      () =>
        jwt.sign({ sub: 'alice', iss: 'https://idp.example/auth/v1' }, rsa.privateKey, {
          algorithm: 'RS256',
          keyid: 'rsa-1',
        }),
    ],
    ['alg none', () => forge({ alg: 'none', kid: 'rsa-1' }, issued(), () => '')],
  ])('refuses %s', async (_what, token) => {
    expect(await ask(gateway, token())).toMatchObject({ status: 401, code: 'invalid_token' });
    expect(calls).toBe(0);
  });

  it('takes a token without kid when only one key can be meant', async () => {
    const bare = jwt.sign(issued({ n: 1 }), rsa.privateKey, { algorithm: 'RS256' });
    expect((await ask(gateway, bare)).status).toBe(200);
  });

  it('asks the provider once for a flood of unknown keys', async () => {
    const before = provider.requests;
    const flood = Array.from({ length: 50 }, (_, index) =>
      ask(gateway, jwt.sign(issued(), otherRsa.privateKey, { algorithm: 'RS256', keyid: `kid-${index}` })),
    );
    expect(new Set((await Promise.all(flood)).map(({ status }) => status))).toEqual(new Set([401]));
    expect(provider.requests - before).toBeLessThanOrEqual(1);
  });
});

describe('JwtAuthGuard with the identity provider alone', () => {
  const provider = new KeySetServer();
  let gateway: Running;
  beforeAll(async () => {
    provider.keys = [jwk(rsa.publicKey, { kid: 'rsa-1' })];
    gateway = await start({ secret: undefined, jwksUrl: await provider.start() });
  });
  afterAll(async () => {
    await gateway.app.close();
    provider.stop();
  });

  it('accepts no HS token, whatever signs it', async () => {
    for (const key of [SECRET, '', 'undefined', pem(rsa.publicKey)]) {
      expect(await ask(gateway, forge({ alg: 'HS256', kid: 'rsa-1' }, claims(), hmac(key)))).toMatchObject({
        status: 401,
      });
    }
    expect((await ask(gateway, rs(claims({ iss: 'https://any.example' })))).status).toBe(200);
    expect(createPublicKey(pem(rsa.publicKey)).type).toBe('public');
  });
});

describe('JwtAuthGuard when the identity provider is away', () => {
  it.each([
    ['it refuses connections', 'refuse'],
    ['it answers 500', (response: import('node:http').ServerResponse) => response.writeHead(500).end()],
    ['it answers no JSON', (response: import('node:http').ServerResponse) => response.end('<html>')],
    [
      'it answers an empty set',
      (response: import('node:http').ServerResponse) => response.end('{"keys":[]}'),
    ],
    [
      'it answers without end',
      (response: import('node:http').ServerResponse) => response.end('['.padEnd(2_000_000, '1,')),
    ],
  ] as const)('says 503, not 401, when %s', async (_what, answer) => {
    const provider = new KeySetServer();
    const url = await provider.start();
    if (answer === 'refuse') provider.stop();
    else provider.answer = answer;
    const gateway = await start({ jwksUrl: url });
    calls = 0;
    try {
      const { status, code, headers } = await ask(gateway, rs(claims()));
      expect({ status, code }).toEqual({ status: 503, code: 'auth_unavailable' });
      expect(headers.get('retry-after')).toBe('10');
      expect((await ask(gateway, hs(claims()))).status).toBe(200);
      expect(calls).toBe(1);
    } finally {
      await gateway.app.close();
      provider.stop();
    }
  });
});

describe('JwtAuthGuard when the address of the keys redirects', () => {
  it('does not follow: the keys come from the configured address', async () => {
    const [configured, elsewhere] = [new KeySetServer(), new KeySetServer()];
    elsewhere.keys = [jwk(rsa.publicKey, { kid: 'rsa-1' })];
    const location = await elsewhere.start();
    const url = await configured.start();
    configured.answer = (response) => response.writeHead(302, { location }).end();
    const gateway = await start({ jwksUrl: url });
    try {
      expect((await ask(gateway, rs(claims()))).status).toBe(503);
      expect(elsewhere.requests).toBe(0);
    } finally {
      await gateway.app.close();
      configured.stop();
      elsewhere.stop();
    }
  });
});

describe('JwtAuthGuard when its own parts fail', () => {
  it.each([new Error('boom'), new TypeError('boom'), 'a string', undefined, null, { status: 200 }])(
    'lets nobody in after %s',
    async (failure) => {
      const gateway = await start({});
      calls = 0;
      gateway.app.get(TokenKeys).find = () => Promise.reject(failure);
      try {
        expect([401, 503]).toContain((await ask(gateway, hs(claims({ jti: 'x' })))).status);
        gateway.revoked.isRevoked = () => {
          throw failure;
        };
        expect([401, 503]).toContain((await ask(gateway, hs(claims({ jti: 'y' })))).status);
        expect(calls).toBe(0);
      } finally {
        await gateway.app.close();
      }
    },
  );
});
