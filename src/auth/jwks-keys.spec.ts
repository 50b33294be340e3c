import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { JwksKeys } from './jwks-keys.js';

const first = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey;
const second = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey;
const jwk = (key: KeyObject, kid: string) => ({ ...key.export({ format: 'jwk' }), kid, use: 'sig' });
const MINUTE = 60_000;

describe('JwksKeys', () => {
  let keys: object[];
  let up: boolean;
  let requests: number;
  let now: number;
  let jwks: JwksKeys;
  const server = createServer((_request, response) => {
    requests++;
    response.statusCode = up ? 200 : 503;
    response.end(JSON.stringify({ keys }));
  });

  beforeEach(async () => {
    [keys, up, requests, now] = [[jwk(first, 'one')], true, 0, 1000];
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    jwks = new JwksKeys(`http://127.0.0.1:${port}/`, () => now);
  });
  afterEach(
    () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  );
  const codeOf = (kid: string) =>
    jwks.keyFor(kid, 'ES256').then(
      () => 'ok',
      (error: { code: string }) => error.code,
    );
  const settled = () => new Promise((resolve) => setTimeout(resolve, 100));

  it('fetches the set once for many', async () => {
    const found = await Promise.all(Array.from({ length: 20 }, () => jwks.keyFor('one', 'ES256')));
    expect(found.every((key) => key.equals(first))).toBe(true);
    expect(requests).toBe(1);
  });

  it('finds a rotated key at once, but asks at most every ten seconds', async () => {
    expect(await codeOf('one')).toBe('ok');
    keys = [jwk(first, 'one'), jwk(second, 'two')];
    expect(await codeOf('two')).toBe('invalid_token');
    now += 10_001;
    expect(await codeOf('two')).toBe('ok');
    expect(requests).toBe(2);
  });

  it('passes over what verifies no token of ours', async () => {
    const privateKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    const good = jwk(first, 'one');
    keys = [
      { ...jwk(second, 'for encryption'), use: 'enc' },
      { ...jwk(second, 'for another algorithm'), alg: 'ES512' },
      { ...privateKey.export({ format: 'jwk' }), kid: 'private' },
      { kty: 'oct', k: 'AAAA', kid: 'shared' },
      jwk(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey, 'short'),
      jwk(generateKeyPairSync('ed25519').publicKey, 'ed25519'),
      jwk(generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey, 'P-384'),
      { ...good, kid: 'off the curve', x: good.y },
      { ...good, kid: 'halved', y: undefined },
      { kty: 'RSA', n: 7, e: [], kid: 'nonsense' },
      null as unknown as object,
      good,
    ];
    expect(await codeOf('one')).toBe('ok');
    const others = keys.flatMap((key) => (key as { kid?: string } | null)?.kid ?? []).slice(0, -1);
    for (const kid of others) expect([kid, await codeOf(kid)]).toEqual([kid, 'invalid_token']);
  });

  it('forgets a withdrawn key within ten minutes and one request', async () => {
    expect(await codeOf('one')).toBe('ok');
    keys = [jwk(second, 'two')];
    now += 10 * MINUTE + 1;
    expect(await codeOf('one')).toBe('ok');
    await settled();
    expect(await codeOf('one')).toBe('invalid_token');
  });

  it('keeps its keys while the provider is away, for a day', async () => {
    expect(await codeOf('one')).toBe('ok');
    up = false;
    now += 60 * MINUTE;
    expect(await codeOf('one')).toBe('ok');
    await settled();
    expect(await codeOf('two')).toBe('auth_unavailable');
    now += 24 * 60 * MINUTE;
    expect(await codeOf('one')).toBe('auth_unavailable');
    up = true;
    now += 10_001;
    expect(await codeOf('one')).toBe('ok');
  });
});
