import { createDatabase, eventually, type Gateway, startGateway, type TestDatabase } from '@app/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

describe('a revoked token', () => {
  let database: TestDatabase;
  let gateways: Gateway[];
  beforeAll(async () => {
    database = await createDatabase();
    gateways = await startGateway({
      instances: 2,
      env: { DATABASE_URL: database.url, RATE_LIMIT_REQUESTS_PER_MINUTE: '10000' },
    });
  });
  afterAll(async () => {
    await Promise.all(gateways.map((gateway) => gateway.stop()));
    await database.drop();
  });
  const [here, there] = [() => gateways[0]!, () => gateways[1]!];
  const now = () => Math.floor(Date.now() / 1000);
  const revoke = (body: object, role: 'admin' | 'user' = 'admin') =>
    here().fetch('/admin/tokens/revoke', {
      method: 'POST',
      as: { sub: 'root', role },
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  const statusOf = async (gateway: Gateway, claims: { sub: string; jti?: string; iat?: number }) =>
    (await gateway.fetch('/v1/models', { as: claims })).status;

  it('is refused at once where it was revoked, within two seconds elsewhere', async () => {
    const claims = { sub: 'alice', jti: 'alice-laptop', iat: now() };
    const other = { sub: 'alice', jti: 'alice-phone', iat: now() };
    for (const gateway of gateways) expect(await statusOf(gateway, claims)).toBe(200);
    const response = await revoke({ jti: 'alice-laptop', reason: 'lost' });
    const revokedAtMs = performance.now();
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({
      kind: 'jti',
      value: 'alice-laptop',
      revoked_at: expect.stringMatching(/Z$/),
    });
    expect(await statusOf(here(), claims)).toBe(401);
    await eventually('the other instance refuses it', async () => (await statusOf(there(), claims)) === 401);
    expect(performance.now() - revokedAtMs).toBeLessThan(2500);
    for (const gateway of gateways) expect(await statusOf(gateway, other)).toBe(200);
  });

  it('may be all of a user’s', async () => {
    const old = { sub: 'bob', iat: now() - 10 };
    expect(await statusOf(here(), old)).toBe(200);
    expect((await revoke({ sub: 'bob' })).status).toBe(200);
    expect(await statusOf(here(), old)).toBe(401);
    await eventually(
      'a token of later works',
      async () => (await statusOf(here(), { sub: 'bob', iat: now() })) === 200,
    );
  });

  it('may be of a clock that is ahead', async () => {
    const ahead = { sub: 'dave', iat: now() + 30 };
    expect(await statusOf(here(), ahead)).toBe(200);
    expect((await revoke({ sub: 'dave', leeway_seconds: 60 })).status).toBe(200);
    expect(await statusOf(here(), ahead)).toBe(401);
  });

  it('is still refused after a restart', async () => {
    await revoke({ jti: 'for-ever' });
    await here().stop();
    await here().start();
    expect(await statusOf(here(), { sub: 'carol', jti: 'for-ever' })).toBe(401);
  });

  it.each([
    [{}, 'invalid_body'],
    [{ jti: 'a', sub: 'b' }, 'invalid_body'],
    [{ sub: 'a b' }, 'invalid_body'],
    [{ sub: 'a', leeway_seconds: 61 }, 'invalid_body'],
    [{ sub: 'a', leeway_seconds: -1 }, 'invalid_body'],
    [{ jti: { $ne: 1 } }, 'invalid_body'],
    [{ jti: 'a', role: 'admin' }, 'invalid_body'],
  ])('needs a right request, not %j', async (body, code) => {
    const response = await revoke(body);
    expect(response.status).toBe(400);
    expect(((await response.json()) as { error: { code: string } }).error.code).toBe(code);
  });

  it('is an admin’s business, and leaves a trace', async () => {
    expect((await revoke({ jti: 'x' }, 'user')).status).toBe(403);
    expect(here().logs).toContain('token-revoked');
  });
});
