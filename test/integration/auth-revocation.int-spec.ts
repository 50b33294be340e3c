import { createDatabase, eventually, startPostgres, startRedis, type TestDatabase } from '@app/testing';
import type { Redis } from 'ioredis';
import { DataSource } from 'typeorm';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Principal } from '../../src/auth/principal.js';
import { RevocationSync } from '../../src/auth/revocation-sync.service.js';
import { RevokedTokens } from '../../src/auth/revoked-tokens.js';
import { dataSourceOptions, migrationOptions } from '../../src/database/data-source-options.js';
import { DatabaseHealth } from '../../src/database/database-health.js';
import { DatabaseService } from '../../src/database/database.service.js';
import { applyMigrations } from '../../src/database/migrations.js';
import { closeRedis, createRedis, waitUntilReady } from '../../src/redis/redis-client.js';

const now = () => Math.floor(Date.now() / 1000);
const token = (userId: string, more: Partial<Principal> = {}): Principal => ({
  userId,
  role: 'user',
  models: undefined,
  tokenId: undefined,
  issuedAt: now() - 5,
  expiresAt: now() + 600,
  ...more,
});

interface Instance {
  readonly sync: RevocationSync;
  readonly revoked: RevokedTokens;
  stop(): Promise<void>;
}

/** What one gateway process has of it. */
async function startInstance(url: string, redisUrl?: string): Promise<Instance> {
  const health = new DatabaseHealth();
  const endpoint = { url, embedded: false, release: () => Promise.resolve() };
  const dataSource = new DataSource(dataSourceOptions({ url, poolSize: 3, health }));
  const database = new DatabaseService(dataSource, health, endpoint, {
    database: { url: undefined, migrateOnBoot: false, poolSize: 3, preparedStatements: 'auto' as const },
  });
  await database.onModuleInit();
  const redis: Redis | undefined = redisUrl === undefined ? undefined : createRedis(redisUrl);
  if (redis) await waitUntilReady(redis, 2000);
  const revoked = new RevokedTokens();
  const sync = new RevocationSync(database, revoked, redis);
  await sync.onApplicationBootstrap();
  return {
    sync,
    revoked,
    stop: async () => {
      await sync.onApplicationShutdown();
      if (redis) await closeRedis(redis);
      await database.onApplicationShutdown();
    },
  };
}

describe('revocations', () => {
  let database: TestDatabase;
  let instances: Instance[];
  beforeAll(async () => {
    database = await createDatabase();
  });
  afterAll(() => database.drop());
  beforeEach(async () => {
    instances = [];
    await database.query('DELETE FROM auth_revocation');
  });
  afterEach(() => Promise.all(instances.map((instance) => instance.stop())));
  const start = async (redisUrl?: string): Promise<Instance> => {
    const instance = await startInstance(database.url, redisUrl);
    instances.push(instance);
    return instance;
  };
  const revoke = (instance: Instance, kind: 'jti' | 'sub', value: string, leewaySeconds?: number) =>
    instance.sync.revoke({ kind, value, actor: 'root', reason: 'test', leewaySeconds });

  it('are in force where they are made at once, elsewhere within two seconds without Redis', async () => {
    const [here, there] = [await start(), await start()];
    await revoke(here, 'jti', 'token-1');
    const revokedAtMs = performance.now();
    expect(here.revoked.isRevoked(token('alice', { tokenId: 'token-1' }))).toBe(true);
    expect(here.revoked.isRevoked(token('alice', { tokenId: 'token-2' }))).toBe(false);
    await eventually('the other instance knows', () =>
      there.revoked.isRevoked(token('alice', { tokenId: 'token-1' })),
    );
    expect(performance.now() - revokedAtMs).toBeLessThan(2000);
  });

  it('are in force elsewhere at once with Redis', async () => {
    await using redis = await startRedis();
    const [here, there] = [await start(redis.url), await start(redis.url)];
    await eventually('both listen', async () => {
      const client = createRedis(redis.url);
      await waitUntilReady(client, 1000);
      const counts = await client.pubsub('NUMSUB', 'llm-gateway:auth:revoked');
      await closeRedis(client);
      return counts[1] === 2;
    });
    const worst: number[] = [];
    for (let round = 0; round < 5; round++) {
      await revoke(here, 'jti', `round-${round}`);
      const revokedAtMs = performance.now();
      await eventually(
        'the other instance knows',
        () => there.revoked.isRevoked(token('a', { tokenId: `round-${round}` })),
        3000,
        2,
      );
      worst.push(performance.now() - revokedAtMs);
    }
    // Polling alone would need 750 ms on average.
    expect(worst.toSorted((left, right) => left - right)[2]).toBeLessThan(300);
  });

  it('of a user are about what a clock that is ahead gave until then, where that is said', async () => {
    const here = await start();
    const nowSeconds = Math.floor(Date.now() / 1000);
    const at = await revoke(here, 'sub', 'bob', 60);
    for (const aheadSeconds of [0, 1, 30, 59]) {
      const issuedAt = nowSeconds + aheadSeconds;
      expect(here.revoked.isRevoked(token('bob', { issuedAt })), `${aheadSeconds} s ahead`).toBe(true);
    }
    expect(here.revoked.isRevoked(token('bob', { issuedAt: Math.floor(at.getTime() / 1000) + 1 }))).toBe(
      false,
    );
    expect(at.getTime() / 1000 - nowSeconds).toBeGreaterThanOrEqual(60);
  });

  it('of a user, again with less leeway, do not let in what they refused', async () => {
    const [here, there] = [await start(), await start()];
    const first = await revoke(here, 'sub', 'bob', 60);
    expect(await revoke(here, 'sub', 'bob')).toEqual(first);
    const issuedAt = Math.floor(Date.now() / 1000) + 50;
    await eventually('there, too', () => there.revoked.isRevoked(token('bob', { issuedAt })));
  });

  it('of a user are about what was given until then', async () => {
    const here = await start();
    const at = await revoke(here, 'sub', 'bob');
    expect(Math.abs(at.getTime() - Date.now())).toBeLessThan(5000);
    expect(here.revoked.isRevoked(token('bob'))).toBe(true);
    expect(here.revoked.isRevoked(token('bob', { issuedAt: undefined }))).toBe(true);
    expect(here.revoked.isRevoked(token('bob', { issuedAt: Math.ceil(at.getTime() / 1000) + 1 }))).toBe(
      false,
    );
    expect(here.revoked.isRevoked(token('bobby'))).toBe(false);
    const again = await revoke(here, 'sub', 'bob');
    expect(again.getTime()).toBeGreaterThanOrEqual(at.getTime());
    expect(await database.query('SELECT kind, value, revoked_by, reason FROM auth_revocation')).toEqual([
      { kind: 'sub', value: 'bob', revoked_by: 'root', reason: 'test' },
    ]);
  });

  it('are known to an instance that starts later', async () => {
    await revoke(await start(), 'sub', 'carol');
    await database.query(`UPDATE auth_revocation SET revoked_at = now() - interval '90 days'`);
    const later = await start();
    expect(later.revoked.isRevoked(token('carol', { issuedAt: now() - 100 * 86_400 }))).toBe(true);
    expect(later.revoked.isRevoked(token('carol'))).toBe(false);
  });

  it('take any text as a value, never as SQL', async () => {
    const here = await start();
    await revoke(here, 'jti', `'; DROP TABLE auth_revocation; --`);
    expect(await database.query('SELECT count(*)::int AS rows FROM auth_revocation')).toEqual([{ rows: 1 }]);
  });

  it('are refused, and not half in force, while the database is away; known ones stay', async () => {
    const server = await startPostgres();
    await applyMigrations(migrationOptions({ url: server.url, poolSize: 2, health: new DatabaseHealth() }));
    const here = await startInstance(server.url);
    await revoke(here, 'jti', 'known');
    await server.stop();
    await expect(revoke(here, 'jti', 'late')).rejects.toMatchObject({ code: 'database_unavailable' });
    expect(here.revoked.isRevoked(token('a', { tokenId: 'late' }))).toBe(false);
    expect(here.revoked.isRevoked(token('a', { tokenId: 'known' }))).toBe(true);
    await here.sync.read();
    expect(here.revoked.isRevoked(token('a', { tokenId: 'known' }))).toBe(true);
    await here.stop();
  });
});
