import { connect } from 'node:net';
import {
  createDatabase,
  eventually,
  FaultProxy,
  type Gateway,
  mintToken,
  startGateway,
  startRedis,
  type TestDatabase,
  type TestRedis,
} from '@app/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/** The promise, with a round trip on a busy machine. */
const WITHIN_MS = 2_000;

let database: TestDatabase;
let redis: TestRedis;
let proxy: FaultProxy;
let here: Gateway;
let there: Gateway;
let withoutRedis: Gateway;

beforeAll(async () => {
  database = await createDatabase();
  redis = await startRedis();
  proxy = await FaultProxy.start(redis.url);
  const common = {
    DATABASE_URL: database.url,
    RATE_LIMIT_REQUESTS_PER_MINUTE: '100000',
    RATE_LIMIT_REQUESTS_PER_HOUR: '100000',
  };
  const env = { ...common, REDIS_URL: proxy.through(redis.url), RATE_LIMIT_STORAGE: 'redis' };
  [here, there, withoutRedis] = await Promise.all([
    startGateway({ env }),
    startGateway({ env }),
    startGateway({ env: common }),
  ]);
});
afterAll(async () => {
  await Promise.all([here.stop(), there.stop(), withoutRedis.stop()]);
  await proxy.stop();
  await redis.kill();
  await database.drop();
});

let tokens = 0;
function newToken(): { jti: string; token: string } {
  const jti = `token-${(tokens += 1)}`;
  return { jti, token: mintToken({ sub: 'alice', jti, iat: Math.floor(Date.now() / 1_000) }) };
}

async function statusAt(gateway: Gateway, token: string): Promise<number> {
  const response = await fetch(`${gateway.url}/v1/models`, { headers: { authorization: `Bearer ${token}` } });
  await response.body?.cancel();
  return response.status;
}

async function revoke(gateway: Gateway, body: object): Promise<void> {
  const response = await gateway.fetch('/admin/tokens/revoke', {
    method: 'POST',
    as: { sub: 'root', role: 'admin' },
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  expect(response.status, await response.text()).toBe(200);
}

/** Revokes at one instance; milliseconds until each of the others refuses the token, which it had verified before. */
async function spread(at: Gateway, others: readonly Gateway[]): Promise<number[]> {
  const { jti, token } = newToken();
  for (const gateway of [at, ...others]) expect(await statusAt(gateway, token)).toBe(200);
  await revoke(at, { jti });
  const revokedAtMs = performance.now();
  expect(await statusAt(at, token), 'at once where it was revoked').toBe(401);
  return Promise.all(
    others.map(async (gateway) => {
      await eventually('refused', async () => (await statusAt(gateway, token)) === 401, 10_000, 10);
      return performance.now() - revokedAtMs;
    }),
  );
}

describe('a revocation', () => {
  it('is in force at once here, and everywhere within two seconds', async () => {
    for (const at of [here, there, withoutRedis]) {
      const others = [here, there, withoutRedis].filter((gateway) => gateway !== at);
      for (const ms of await spread(at, others)) expect(ms).toBeLessThan(WITHIN_MS);
    }
  });

  it('is told by Redis much sooner than by looking', async () => {
    const delays: number[] = [];
    for (let round = 0; round < 5; round++) delays.push(...(await spread(here, [there])));
    expect(Math.max(...delays)).toBeLessThan(500);
  });

  it('of a user ends every token that was issued before, and none that is issued later', async () => {
    const issued = mintToken({ sub: 'bob', iat: Math.floor(Date.now() / 1_000) });
    const without = mintToken({ sub: 'bob' });
    for (const token of [issued, without]) expect(await statusAt(there, token)).toBe(200);
    await revoke(here, { sub: 'bob' });
    for (const token of [issued, without]) {
      expect(await statusAt(here, token)).toBe(401);
      await eventually('refused there', async () => (await statusAt(there, token)) === 401, WITHIN_MS, 10);
    }
    await eventually('a later one works', async () => {
      const later = mintToken({ sub: 'bob', iat: Math.floor(Date.now() / 1_000) });
      return (await statusAt(here, later)) === 200 && (await statusAt(there, later)) === 200;
    });
    expect(await statusAt(here, issued)).toBe(401);
  });

  it('needs no Redis: frozen or gone, everybody knows within two seconds', async () => {
    proxy.faults = { up: { blackhole: true }, down: { blackhole: true } };
    for (const ms of await spread(here, [there])) expect(ms).toBeLessThan(WITHIN_MS);
    await proxy.refuse();
    for (const ms of await spread(here, [there])) expect(ms).toBeLessThan(WITHIN_MS);
    await proxy.accept();
    proxy.heal();
  });

  it('cannot be forged in Redis, nor lifted there', async () => {
    const { jti, token } = newToken();
    await tellRedis(`PUBLISH llm-gateway:auth:revoked {"kind":"jti","value":"${jti}"}`);
    await tellRedis('FLUSHALL');
    expect(await statusAt(here, token)).toBe(200);
    await revoke(here, { jti });
    await tellRedis('FLUSHALL');
    expect(await statusAt(here, token)).toBe(401);
  });

  it('outlives a restart of everything', async () => {
    const { jti, token } = newToken();
    await revoke(here, { jti });
    await there.restart();
    expect(await statusAt(there, token)).toBe(401);
  });
});

/** A line to Redis, as anybody on its network could write it. */
function tellRedis(line: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(redis.port, '127.0.0.1', () => socket.write(`${line}\r\n`));
    socket.once('data', (data) => {
      socket.destroy();
      resolve(data.toString());
    });
    socket.once('error', reject);
  });
}
