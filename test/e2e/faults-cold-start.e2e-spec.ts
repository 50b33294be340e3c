import {
  createDatabase,
  eventually,
  FakeUpstream,
  type Gateway,
  mintToken,
  startGateway,
  startRedis,
  type TestDatabase,
  type TestRedis,
} from '@app/testing';
import jwt from 'jsonwebtoken';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { outcomes, percentileMs, seeAtOnce } from '../support/measure-load.js';

const TOKENS = 250;
const CLIENTS = 100;
const POOL = 5;

describe(`a restart under ${TOKENS} distinct tokens`, () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  let keyServer: Server;
  let keyFetches = 0;
  let upstream: FakeUpstream;
  let database: TestDatabase;
  let redis: TestRedis;
  let gateway: Gateway;

  beforeAll(async () => {
    const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'key-1', alg: 'ES256', use: 'sig' };
    keyServer = createServer((_request, response) => {
      keyFetches += 1;
      // Long enough for every client to find the cache empty.
      setTimeout(() => response.end(JSON.stringify({ keys: [jwk] })), 300);
    }).listen(0, '127.0.0.1');
    await once(keyServer, 'listening');
    upstream = await FakeUpstream.start();
    database = await createDatabase();
    redis = await startRedis();
    gateway = await startGateway({
      env: {
        ...upstream.env,
        DATABASE_URL: database.url,
        DATABASE_POOL_SIZE: String(POOL),
        REDIS_URL: redis.url,
        RATE_LIMIT_STORAGE: 'redis',
        RATE_LIMIT_REQUESTS_PER_MINUTE: '100000',
        RATE_LIMIT_REQUESTS_PER_HOUR: '1000000',
        JWT_JWKS_URL: `http://127.0.0.1:${(keyServer.address() as AddressInfo).port}/keys`,
      },
    });
  });
  afterAll(async () => {
    await gateway?.stop();
    await redis?.kill();
    await upstream?.stop();
    await database?.drop();
    keyServer?.close();
  });

  /** Half of the tokens are our own, half an identity provider's. */
  const tokenOf = (index: number): string =>
    index % 2 === 0
      ? mintToken({ sub: `cold-${index}` })
      : jwt.sign({ sub: `cold-${index}` }, privateKey, {
          algorithm: 'ES256',
          keyid: 'key-1',
          expiresIn: '1h',
        });
  const tokens = Array.from({ length: TOKENS }, (_, index) => tokenOf(index));

  const ask = (index: number): Promise<Response> =>
    fetch(`${gateway.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${tokens[index]}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'hello' }] }),
    });

  /** The most connections that the gateway had to Postgres at once while `work` ran. */
  async function mostConnections(work: Promise<unknown>): Promise<number> {
    let most = 0;
    let running = true;
    const look = async (): Promise<void> => {
      while (running) {
        const [row] = await database.query<{ count: number }>(
          `SELECT count(*)::int AS count FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'llm-gateway'`,
        );
        most = Math.max(most, row?.count ?? 0);
        await sleep(50);
      }
    };
    await Promise.all([look(), work.finally(() => (running = false))]);
    return most;
  }

  it.each([
    ['never seen before', () => Promise.resolve()],
    ['known to the database, and after a restart to no cache', () => gateway.restart()],
  ])(
    'all at once, %s: all are served, with one fetch of the keys and within the pool',
    async (_which, prepare) => {
      await prepare();
      keyFetches = 0;
      const charged = await charges();
      const storm = seeAtOnce(TOKENS, CLIENTS, ask);
      const connections = await mostConnections(storm);
      const seen = await storm;
      expect(outcomes(seen)).toEqual({ '200': TOKENS });
      expect(keyFetches).toBe(1);
      expect(connections).toBeGreaterThan(0);
      expect(connections).toBeLessThanOrEqual(POOL);
      expect(percentileMs(seen, 1)).toBeLessThan(20_000);
      // booked in batches, which may follow the last answer by some ms
      await eventually('every answer is booked', async () => (await charges()) - charged >= TOKENS);
      expect((await charges()) - charged).toBe(TOKENS);
    },
    60_000,
  );

  async function charges(): Promise<number> {
    const [row] = await database.query<{ count: number }>(
      `SELECT count(*)::int AS count FROM ledger WHERE kind = 'charge'`,
    );
    return row?.count ?? 0;
  }
});
