import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync, type KeyObject, sign, timingSafeEqual, verify } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ExecutionContext } from '@nestjs/common';
import fc from 'fast-check';
import { expectGatewayError } from '../expectations.js';
import type { FuzzTarget } from '../fuzz-target.js';
import { hostileText, type Json, mutated } from '../hostile-json.js';

const SECRET = 'the-secret-of-the-token-fuzzer-0123456789abcdef';
const LEEWAY_SECONDS = 60;
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 });
const PEM = rsa.publicKey.export({ type: 'spki', format: 'pem' }).toString();
/** What the identity provider tells of itself. */
const KEY_SET = {
  keys: [
    { ...rsa.publicKey.export({ format: 'jwk' }), kid: 'rsa-1', use: 'sig' },
    { ...ec.publicKey.export({ format: 'jwk' }), kid: 'ec-1', use: 'sig', alg: 'ES256' },
    { kty: 'oct', k: 'AAAA', kid: 'oct-1', alg: 'HS256' },
  ],
};

const HEADERS: readonly Json[] = [
  { alg: 'HS256', typ: 'JWT' },
  { alg: 'HS256', typ: 'JWT', kid: '../../dev/null' },
  { alg: 'none' },
  { alg: 'NONE', typ: 'JWT' },
  { alg: 'HS512', typ: 'JWT' },
  { alg: 'RS256', kid: 'k' },
  { alg: 'RS256', kid: 'rsa-1' },
  { alg: 'RS256' },
  { alg: 'ES256', kid: 'ec-1' },
  { alg: 'ES256', kid: 'rsa-1' },
  { alg: 'HS256', kid: 'oct-1' },
  { alg: ['HS256'] },
  { alg: 'HS256', jwk: { kty: 'oct', k: 'AAAA' } },
  { alg: 'HS256', jku: 'https://evil.example/jwks' },
  { alg: 'HS256', x5u: 'https://evil.example/x' },
  { alg: 'HS256', crit: ['exp'], b64: false },
];

const nowSeconds = (): number => Math.floor(Date.now() / 1_000);

const CLAIMS = (now: number): readonly Json[] => [
  { sub: 'alice', exp: now + 600, iat: now },
  { sub: 'alice', exp: now + 600, iat: now, jti: 'id-1', role: 'admin', models: ['gpt-4', 'echo'] },
  { sub: 'alice', exp: now - 3_600 },
  { sub: 'alice', exp: now + 600, nbf: now + 3_600 },
  { sub: 'alice', iat: now },
  { sub: 'alice', exp: now + 600, iat: now + 3_600 },
  { sub: 'alice\nadmin', exp: now + 600 },
];

/** Ways to sign; those of `GENUINE` are the gateway's. */
const SIGNERS: Readonly<Record<string, (input: string) => string>> = {
  secret: (input) => hmac(SECRET, input),
  rsa: (input) => signed(rsa.privateKey, input),
  ec: (input) => signed(ec.privateKey, input),
  stranger: (input) => signed(stranger.privateKey, input),
  'sha-512': (input) => createHmac('sha512', SECRET).update(input).digest('base64url'),
  empty: (input) => hmac('', input),
  'public key': (input) => hmac(PEM, input),
  'wrong secret': (input) => hmac(SECRET.toUpperCase(), input),
  nothing: () => '',
  another: () => hmac(SECRET, 'something else'),
};

function hmac(key: string, input: string): string {
  return createHmac('sha256', key).update(input).digest('base64url');
}

function signed(key: KeyObject, input: string): string {
  return sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url');
}

/** What a signature must be, worked out without a JWT library: by the algorithm, and each key has one. */
const GENUINE: Readonly<Record<string, (input: string, signature: string) => boolean>> = {
  HS256: (input, signature) => {
    const [expected, given] = [hmac(SECRET, input), signature].map((text) => Buffer.from(text, 'base64url'));
    return expected!.length === given!.length && timingSafeEqual(expected!, given!);
  },
  RS256: (input, signature) => isSignedBy(rsa.publicKey, input, signature),
  ES256: (input, signature) => isSignedBy(ec.publicKey, input, signature),
};
const KEY_IDS: Readonly<Record<string, string>> = { RS256: 'rsa-1', ES256: 'ec-1' };

function isSignedBy(key: KeyObject, input: string, signature: string): boolean {
  const bytes = Buffer.from(signature, 'base64url');
  return verify('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }, bytes);
}

const encode = (value: Json): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** `Authorization` values: well made tokens, spoilt ones, and anything. */
const authorizations = (): fc.Arbitrary<string> => {
  const now = nowSeconds();
  const tokens = fc
    .tuple(mutated(HEADERS, 2), mutated(CLAIMS(now), 2), fc.constantFrom(...Object.keys(SIGNERS)))
    .map(([header, claims, signer]) => tokenOf(header, claims, signer));
  const spoilt = fc
    .tuple(tokens, fc.nat(2_000), fc.nat(3), fc.oneof(hostileText(), fc.constantFrom('.', '=', '\t', 'A')))
    .map(([token, at, removed, text]) => {
      const place = at % (token.length + 1);
      return token.slice(0, place) + text + token.slice(place + removed);
    });
  const scheme = fc.constantFrom('Bearer ', 'Bearer ', 'bearer ', 'BEARER  ', 'Basic ', '', 'Bearer');
  return fc.tuple(scheme, fc.oneof(tokens, spoilt, hostileText())).map(([first, rest]) => first + rest);
};

function tokenOf(header: Json, claims: Json, signer: string): string {
  const input = `${encode(header)}.${encode(claims)}`;
  return `${input}.${SIGNERS[signer]?.(input) ?? ''}`;
}

/** What any accepted token must be. */
function expectGenuine(authorization: string): void {
  const [header = '', claims = '', signature = ''] = (authorization.split(/ +/)[1] ?? '').trim().split('.');
  const decode = (part: string): Record<string, unknown> =>
    JSON.parse(Buffer.from(part, 'base64url').toString('utf8')) as Record<string, unknown>;
  const { alg, kid } = decode(header);
  const isGenuine = typeof alg === 'string' && Object.hasOwn(GENUINE, alg) ? GENUINE[alg] : undefined;
  assert.ok(isGenuine?.(`${header}.${claims}`, signature), 'the signature is ours');
  const keyId = KEY_IDS[String(alg)];
  assert.ok(keyId === undefined || kid === undefined || kid === keyId, 'by the key that is named');
  for (const name of ['jwk', 'jku', 'x5u', 'x5c', 'crit'])
    assert.ok(!Object.hasOwn(decode(header), name), name);
  const { sub, exp, nbf, iat } = decode(claims);
  assert.ok(typeof sub === 'string' && /^[A-Za-z0-9._:@|-]{1,128}$/.test(sub), 'a user');
  assert.ok(typeof exp === 'number' && exp > nowSeconds() - LEEWAY_SECONDS - 1, 'an end');
  for (const from of [nbf, iat]) {
    assert.ok(from === undefined || Number(from) <= nowSeconds() + LEEWAY_SECONDS + 1, 'not before its time');
  }
}

export const JWT: FuzzTarget = {
  name: 'jwt',
  promise:
    'nobody gets in but with a token that the secret or the provider signed; everybody else gets a 401',
  shortRuns: 1_000,
  async property() {
    const admit = await loadGuard();
    // Else a guard that refused everybody would hold every promise.
    const [claims] = CLAIMS(nowSeconds());
    for (const [alg, signer] of [
      ['HS256', 'secret'],
      ['RS256', 'rsa'],
      ['ES256', 'ec'],
    ] as const)
      assert.equal(await admit(`Bearer ${tokenOf({ alg }, claims!, signer)}`), 'user');
    return fc.asyncProperty(authorizations(), async (authorization) => {
      try {
        const role = await admit(authorization);
        expectGenuine(authorization);
        assert.match(role, /^(user|admin)$/);
      } catch (error) {
        expectGatewayError(error, [401]);
      }
    });
  },
};

/** The guard with its real parts; only the request is made up. Resolves to the role of who got in. */
async function loadGuard(): Promise<(authorization: string) => Promise<string>> {
  await import('reflect-metadata');
  const { Reflector } = await import('@nestjs/core');
  const { Secret } = await import('../../../src/config/secret.js');
  const { JwtAuthGuard } = await import('../../../src/auth/jwt-auth.guard.js');
  const { JwtStrategy } = await import('../../../src/auth/jwt.strategy.js');
  const { RevokedTokens } = await import('../../../src/auth/revoked-tokens.js');
  const { TokenKeys } = await import('../../../src/auth/token-keys.js');
  const { Telemetry } = await import('../../../src/telemetry/telemetry.js');
  const auth = {
    secret: new Secret(SECRET),
    algorithm: 'HS256' as const,
    jwksUrl: await serveKeySet(),
    issuer: undefined,
    jwksIssuer: undefined,
    audience: undefined,
    accessTokenExpireMinutes: 60,
  };
  new JwtStrategy(new TokenKeys({ auth }), { auth });
  const guard = new JwtAuthGuard(new Reflector(), new RevokedTokens(), new Telemetry());
  const handler = (): void => undefined;
  class Controller {}
  return async (authorization) => {
    const gateway: { requestId: string; clientAddress: string; principal?: { role: string } } = {
      requestId: 'request-1',
      clientAddress: '127.0.0.1',
    };
    const request = { headers: { authorization }, gateway };
    const http = { getRequest: () => request, getResponse: () => ({}) };
    const context = { switchToHttp: () => http, getHandler: () => handler, getClass: () => Controller };
    const admitted = await guard.canActivate(context as unknown as ExecutionContext);
    assert.equal(admitted, true);
    return gateway.principal?.role ?? 'nobody';
  };
}

/** For as long as the process lives, which it does not hold up. */
async function serveKeySet(): Promise<string> {
  const server = createServer((_request, response) => response.end(JSON.stringify(KEY_SET)));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  server.unref();
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}
