import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync, timingSafeEqual } from 'node:crypto';
import type { ExecutionContext } from '@nestjs/common';
import fc from 'fast-check';
import { expectGatewayError } from '../expectations.js';
import type { FuzzTarget } from '../fuzz-target.js';
import { hostileText, type Json, mutated } from '../hostile-json.js';

const SECRET = 'the-secret-of-the-token-fuzzer-0123456789abcdef';
const LEEWAY_SECONDS = 60;
const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const PEM = publicKey.export({ type: 'spki', format: 'pem' }).toString();

const HEADERS: readonly Json[] = [
  { alg: 'HS256', typ: 'JWT' },
  { alg: 'HS256', typ: 'JWT', kid: '../../dev/null' },
  { alg: 'none' },
  { alg: 'NONE', typ: 'JWT' },
  { alg: 'HS512', typ: 'JWT' },
  { alg: 'RS256', kid: 'k' },
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
];

/** Ways to sign; only the first is the gateway's. */
const SIGNERS: Readonly<Record<string, (input: string) => string>> = {
  secret: (input) => hmac(SECRET, input),
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

const encode = (value: Json): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** `Authorization` values: well made tokens, spoilt ones, and anything. */
const authorizations = (): fc.Arbitrary<string> => {
  const now = nowSeconds();
  const tokens = fc
    .tuple(mutated(HEADERS, 2), mutated(CLAIMS(now), 2), fc.constantFrom(...Object.keys(SIGNERS)))
    .map(([header, claims, signer]) => {
      const input = `${encode(header)}.${encode(claims)}`;
      return `${input}.${SIGNERS[signer]?.(input) ?? ''}`;
    });
  const spoilt = fc
    .tuple(tokens, fc.nat(2_000), fc.nat(3), fc.oneof(hostileText(), fc.constantFrom('.', '=', '\t', 'A')))
    .map(([token, at, removed, text]) => {
      const place = at % (token.length + 1);
      return token.slice(0, place) + text + token.slice(place + removed);
    });
  const scheme = fc.constantFrom('Bearer ', 'Bearer ', 'bearer ', 'BEARER  ', 'Basic ', '', 'Bearer');
  return fc.tuple(scheme, fc.oneof(tokens, spoilt, hostileText())).map(([first, rest]) => first + rest);
};

/** What any accepted token must be, worked out without a JWT library. */
function expectGenuine(authorization: string): void {
  const [header = '', claims = '', signature = ''] = (authorization.split(/ +/)[1] ?? '').trim().split('.');
  const expected = Buffer.from(hmac(SECRET, `${header}.${claims}`), 'base64url');
  const given = Buffer.from(signature, 'base64url');
  assert.ok(expected.length === given.length && timingSafeEqual(expected, given), 'the signature is ours');
  const decode = (part: string): Record<string, unknown> =>
    JSON.parse(Buffer.from(part, 'base64url').toString('utf8')) as Record<string, unknown>;
  assert.equal(decode(header)['alg'], 'HS256');
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
  promise: 'nobody gets in but with a token that the secret has signed; everybody else gets a 401',
  shortRuns: 1_000,
  async property() {
    const admit = await loadGuard();
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
    jwksUrl: undefined,
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
