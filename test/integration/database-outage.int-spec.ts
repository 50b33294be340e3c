import { setTimeout as sleep } from 'node:timers/promises';
import type { INestApplicationContext } from '@nestjs/common';
import { createDatabase, eventually, FaultProxy, runSql, type TestDatabase } from '@app/testing';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { DataSource } from 'typeorm';
import type { AppConfig } from '../../src/config/app-config.js';
import { isConnectionError } from '../../src/database/connection-error.js';
import { DatabaseService } from '../../src/database/database.service.js';
import { readPatiently } from '../../src/database/read-patiently.js';
import { DatabaseProbe } from '../../src/health/probes/database.probe.js';
import { startPickyPooler } from '../support/picky-pooler.js';
import { startDatabaseApp } from './database-app.js';

let database: TestDatabase;
let proxy: FaultProxy;
const apps: INestApplicationContext[] = [];
beforeAll(async () => {
  database = await createDatabase();
  proxy = await FaultProxy.start(database.url);
});
afterEach(async () => {
  for (const app of apps.splice(0)) await app.close();
  await proxy.accept();
  proxy.heal();
});
afterAll(async () => {
  await proxy.stop();
  await database.drop();
});

/** By default on the database behind the proxy. */
async function boot(
  url = proxy.through(database.url),
  changes: Partial<AppConfig['database']> = {},
): Promise<DatabaseService> {
  // four of the twelve are for `query`
  const app = await startDatabaseApp(url, { poolSize: 12, ...changes });
  apps.push(app);
  return app.get(DatabaseService);
}

async function createEmptyDatabase(): Promise<{ url: string } & AsyncDisposable> {
  const empty = await createDatabase({ migrated: false });
  return { url: empty.url, [Symbol.asyncDispose]: () => empty.drop() };
}

const isReady = (service: DatabaseService) => (): boolean => service.isUp();

describe('away at boot', () => {
  it('lets the process come up, and connects when the database is there', async () => {
    await proxy.refuse();
    const service = await boot();
    expect(service.ready).toBe(false);
    await expect(service.query('SELECT 1')).rejects.toMatchObject({
      code: 'database_unavailable',
      status: 503,
    });
    await proxy.accept();
    await eventually('the service is ready', isReady(service));
    await service.whenReady();
    expect(await service.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('does so too when the server accepts connections and says nothing', async () => {
    proxy.faults = { down: { blackhole: true } };
    const startMs = performance.now();
    const service = await boot();
    expect(performance.now() - startMs).toBeLessThan(5_000);
    expect(service.ready).toBe(false);
    proxy.heal();
    await eventually('the service is ready', isReady(service));
  });

  it('moves no money before the tables are those of this version', async () => {
    await using empty = await createEmptyDatabase();
    await proxy.refuse();
    const service = await boot(proxy.through(empty.url));
    const elsewhere = new DataSource({ type: 'postgres', url: empty.url });
    await elsewhere.initialize();
    // As another instance that migrates.
    await elsewhere.query('SELECT pg_advisory_lock(7812739744365045111)');
    await proxy.accept();
    await eventually('it is connected', () =>
      service.query('SELECT 1').then(
        () => true,
        () => false,
      ),
    );
    await expect(service.prepared.query('SELECT FROM hold')).rejects.toMatchObject({
      code: 'database_unavailable',
    });
    await elsewhere.destroy();
    await eventually('it is ready', isReady(service));
    expect(await service.prepared.query('SELECT FROM hold')).toEqual([]);
    for (const app of apps.splice(0)) await app.close();
  });

  it('waits for the migrations that it was told to leave to others', async () => {
    await using empty = await createEmptyDatabase();
    const service = await boot(empty.url, { migrateOnBoot: false });
    expect(service.status()).toMatchObject({ ready: false, lacksMigrations: true });
    const probe = new DatabaseProbe(service, () => true);
    expect(await probe.check(new AbortController().signal)).toMatchObject({
      status: 'down',
      details: { migrated: false, reason: 'migrations are pending' },
    });
    await service.runMigrations();
    await eventually('it is ready', isReady(service));
    expect((await probe.check(new AbortController().signal)).status).toBe('up');
    for (const app of apps.splice(0)) await app.close();
  });

  it('is not taken for away when the database refuses us, and says which', async () => {
    const url = new URL(database.url);
    url.password = 'wrong';
    await expect(boot(url.toString())).rejects.toThrow(
      `${url.host}${url.pathname} refuses the connection: password authentication failed`,
    );
  });
});

describe('away while running', () => {
  it('fails each statement as unavailable, then fast, and recovers by itself', async () => {
    const service = await boot();
    await service.query('SELECT 1');
    proxy.faults = { down: { blackhole: true } };
    proxy.resetAll();
    for (let attempt = 0; attempt < 4; attempt += 1) {
      await expect(service.query('SELECT 1')).rejects.toMatchObject({ code: 'database_unavailable' });
    }
    expect(service.isUp()).toBe(false);
    let refused = 0;
    for (let attempt = 0; attempt < 50; attempt += 1)
      void service.query('SELECT 1').catch(() => (refused += 1));
    await new Promise((resolve) => setTimeout(resolve, 300));
    // all but the one that tries, which waits out the connection timeout
    expect(refused).toBeGreaterThanOrEqual(49);
    proxy.heal();
    await eventually('it is up again without traffic', isReady(service), 3_000);
    expect(await service.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('a server that freezes holds nobody longer than the timeouts, and no connection stays stuck', async () => {
    const service = await boot();
    await Promise.all(Array.from({ length: 4 }, () => service.query('SELECT 1')));
    proxy.faults = { up: { blackhole: true } };
    const startMs = performance.now();
    const results = await Promise.allSettled(Array.from({ length: 12 }, () => service.query('SELECT 1')));
    expect(performance.now() - startMs).toBeLessThan(4_000);
    for (const result of results) {
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'database_unavailable' } });
    }
    proxy.faults = {};
    await eventually('it is up again', isReady(service), 5_000);
    await eventually(
      'statements work again',
      async () => (await service.query('SELECT 1')).length === 1,
      5_000,
    );
    expect(service.status().pool.total).toBeLessThanOrEqual(4);
  });

  it('fails fast too when a pooler connects and the server behind it answers nothing', async () => {
    const pooler = await startPickyPooler(database.url, []);
    const service = await boot(pooler.url);
    await service.query('SELECT 1');
    pooler.swallows = true;
    await eventually(
      'it counts as down',
      async () => {
        const asked = await Promise.allSettled([1, 2, 3].map(() => service.query('SELECT 1')));
        return asked.every(({ status }) => status === 'rejected') && !service.isUp();
      },
      12_000,
    );
    // a connection that is made on trial is no answer
    await sleep(1_500);
    expect(service.isUp()).toBe(false);
    const refusals = Array.from({ length: 20 }, async () => {
      const askedMs = performance.now();
      await service.prepared.query('SELECT 1').catch(() => undefined);
      return performance.now() - askedMs;
    });
    // one of them may be what tries
    expect((await Promise.all(refusals)).filter((ms) => ms < 500).length).toBeGreaterThanOrEqual(19);
    pooler.swallows = false;
    await eventually('it is up again without traffic', isReady(service), 5_000);
    expect(await service.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
    pooler.close();
  }, 30_000);

  it('leaves a server that takes no writes any more: the next connection may reach one that does', async () => {
    const service = await boot();
    const write = 'CREATE TABLE IF NOT EXISTS written (at timestamptz)';
    const name = new URL(database.url).pathname.slice(1);
    // As with a primary that was demoted: its sessions live on, and stay read-only however long they are used.
    await runSql(database.url, `ALTER DATABASE "${name}" SET default_transaction_read_only = on`);
    await runSql(
      database.url,
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
    );
    const ways = [service, service.prepared];
    for (const way of ways) {
      await eventually('it is read-only', () =>
        way.query(write).then(
          () => false,
          (error: { cause?: { code?: string } }) => error.cause?.code === '25006',
        ),
      );
    }
    // It answers whatever is only read.
    expect(await new DatabaseProbe(service, () => true).check(new AbortController().signal)).toMatchObject({
      status: 'degraded',
      details: { reason: 'it is read-only, as a standby is' },
    });
    const reset = `ALTER DATABASE "${name}" RESET default_transaction_read_only`;
    await runSql(database.url, `BEGIN READ WRITE; ${reset}; COMMIT`);
    for (const way of ways) expect(await way.query(write)).toEqual([]);
    expect((await new DatabaseProbe(service, () => true).check(new AbortController().signal)).status).toBe(
      'up',
    );
  });

  it('survives every connection being reset in the middle of a statement', async () => {
    const service = await boot();
    const sleeping = Promise.allSettled(Array.from({ length: 4 }, () => service.query('SELECT pg_sleep(1)')));
    await new Promise((resolve) => setTimeout(resolve, 300));
    proxy.resetAll();
    for (const result of await sleeping) {
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'database_unavailable' } });
    }
    expect(await service.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('survives idle connections being ended by the server', async () => {
    const service = await boot();
    await Promise.all(Array.from({ length: 4 }, () => service.query('SELECT pg_sleep(0.05)')));
    await runSql(
      database.url,
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'llm-gateway' AND datname = $1`,
      [database.name],
    );
    await eventually('the pool is empty', () => service.status().pool.total === 0);
    expect(await service.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('ends a statement after two seconds, and says so as unavailable', async () => {
    const service = await boot();
    await expect(service.query('SELECT pg_sleep(10)')).rejects.toMatchObject({
      code: 'database_unavailable',
    });
    expect(service.isUp()).toBe(true);
  });
});

describe('readiness', () => {
  const check = (service: DatabaseService) =>
    new DatabaseProbe(service, () => false).check(AbortSignal.timeout(900));

  it('stays while every connection is busy and a question has to wait for one', async () => {
    const service = await boot();
    const busy = new AbortController();
    const work = Array.from({ length: 80 }, async (_, turn) => {
      const { query } = turn % 2 ? service.prepared : { query: service.query.bind(service) };
      while (!busy.signal.aborted) await query('SELECT pg_sleep(0.4)').catch(() => undefined);
    });
    await eventually('questions wait', () => service.status().pool.waiting > 60);
    const health = await check(service);
    busy.abort();
    await Promise.all(work);
    expect(health.latencyMs).toBeGreaterThan(850);
    expect(health.status).toBe('up');
  });

  it('ends when the database freezes under that load', async () => {
    const service = await boot();
    // Settled from the start: some fail while nobody looks at them yet.
    const before = Promise.allSettled(
      Array.from({ length: 80 }, () => service.query('SELECT pg_sleep(0.4)')),
    );
    await sleep(100);
    proxy.faults = { up: { blackhole: true }, down: { blackhole: true } };
    expect(await check(service)).toMatchObject({ status: 'down' });
    proxy.heal();
    await before;
  });
});

describe('a database that refuses us while we run', () => {
  const role = 'rotating';
  /** A user of its own, on the database behind the proxy. */
  async function bootAsRole(): Promise<DatabaseService> {
    await runSql(database.url, `CREATE ROLE ${role} LOGIN PASSWORD 'old'`);
    const url = new URL(proxy.through(database.url));
    url.username = role;
    url.password = 'old';
    return boot(url.toString(), { migrateOnBoot: false });
  }
  const alter = (how: string): Promise<unknown> => runSql(database.url, how);
  const endConnections = (): Promise<unknown> =>
    runSql(database.url, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '${role}'`);
  afterEach(async () => {
    for (const app of apps.splice(0)) await app.close();
    await endConnections();
    await alter(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  });

  it.each([
    ['the password is another one', `ALTER ROLE ${role} PASSWORD 'new'`, `ALTER ROLE ${role} PASSWORD 'old'`],
    ['the role may not log in', `ALTER ROLE ${role} NOLOGIN`, `ALTER ROLE ${role} LOGIN`],
  ])('is away until it lets us in again: %s', async (_what, refuse, admit) => {
    const service = await bootAsRole();
    expect(await service.prepared.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await alter(refuse);
    await endConnections();
    for (let i = 0; i < 6; i++) {
      for (const query of [service.query.bind(service), service.prepared.query]) {
        await expect(query('SELECT 1')).rejects.toMatchObject({ code: 'database_unavailable', status: 503 });
      }
    }
    expect(service.isUp()).toBe(false);
    expect(service.status().lastError).toMatch(/password authentication failed|not permitted to log in/);
    await alter(admit);
    await eventually('it is back', isReady(service));
    expect(await service.prepared.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('is away also by what only a connection is told', async () => {
    const service = await bootAsRole();
    const { pathname } = new URL(database.url);
    const name = pathname.slice(1);
    await alter(`REVOKE CONNECT ON DATABASE ${name} FROM PUBLIC`);
    await endConnections();
    await eventually('the pool is empty', () => service.status().pool.total === 0);
    await expect(service.query('SELECT 1')).rejects.toMatchObject({
      code: 'database_unavailable',
      cause: { cause: { code: '42501' } },
    });
    await alter(`GRANT CONNECT ON DATABASE ${name} TO PUBLIC`);
    await eventually('it is asked again', () =>
      service.query('SELECT 1').then(
        () => true,
        () => false,
      ),
    );
  });
});

describe('errors', () => {
  it('of the statement itself are not outages', async () => {
    const service = await boot();
    const error: unknown = await service.query('SELECT nonsense').catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: '42703' });
    expect(isConnectionError(error)).toBe(false);
    expect(service.status().pool).toMatchObject({ total: 1, idle: 1 });
  });

  it('through TypeORM are recognised as well', async () => {
    await boot();
    const dataSource = apps[0]?.get(DataSource);
    await proxy.refuse();
    const error: unknown = await dataSource?.query('SELECT 1').catch((reason: unknown) => reason);
    expect(isConnectionError(error)).toBe(true);
  });
});

describe('TLS', () => {
  it('is done without where it is only preferred and the server has none', async () => {
    const service = await boot(`${database.url}?sslmode=prefer`);
    expect(service.ready).toBe(true);
  });

  it('is not done without where it is required', async () => {
    await expect(boot(`${database.url}?sslmode=require`)).rejects.toThrow('does not support SSL');
  });
});

describe('session timeouts', () => {
  const timeout = async (service: DatabaseService): Promise<string | undefined> =>
    (await service.query<{ statement_timeout: string }>('SHOW statement_timeout'))[0]?.statement_timeout;

  it('are set where the server takes them', async () => {
    expect(await timeout(await boot())).toBe('2s');
  });

  it('are left out where a pooler refuses them', async () => {
    const { url, close } = await startPickyPooler(database.url, ['statement_timeout']);
    const service = await boot(url);
    expect(service.ready).toBe(true);
    expect(await timeout(service)).toBe('0');
    close();
  });
});

async function sleeping(service: DatabaseService): Promise<number> {
  const [row] = await service.query<{ count: string }>(
    `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND query LIKE 'SELECT pg_sleep%'`,
  );
  return Number(row?.count);
}

async function connections(service: DatabaseService): Promise<number> {
  const [row] = await service.query<{ count: string }>(
    'SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()',
  );
  return Number(row?.count);
}

describe('a read that takes long', () => {
  it(
    'has the time that others have not, and leaves them their connections',
    { timeout: 30_000 },
    async () => {
      // One of the two is for `query`.
      const service = await boot(undefined, { poolSize: 2 });
      await eventually('the service is ready', isReady(service));
      const slow = 'SELECT pg_sleep(2.7)';
      await expect(service.query(slow)).rejects.toMatchObject({ code: 'database_unavailable' });
      const finished: string[] = [];
      const reads = [1, 2, 3, 4].map(() => service.patient.query(slow).then(() => finished.push('read')));
      await eventually('two of them are under way', async () => (await sleeping(service)) === 2);
      await sleep(300);
      expect(await sleeping(service)).toBe(2);
      expect(finished).toEqual([]);
      await Promise.all(reads);
      expect(service.isUp()).toBe(true);
      expect(await connections(service)).toBe(1);
      await expect(service.query(slow)).rejects.toMatchObject({ code: 'database_unavailable' });
    },
  );

  // Of one user, behind a pooler that takes no time limits: nobody ends them but the driver.
  it.each([
    ['beside the statements of others', 50],
    ['while nobody else asks', 10_000],
  ])('is no outage, however many there are, %s', { timeout: 15_000 }, async (_when, pauseMs) => {
    const { url, close } = await startPickyPooler(database.url, ['statement_timeout']);
    const service = await boot(url);
    await eventually('the service is ready', isReady(service));
    const seen = new Set<boolean>();
    const looking = setInterval(() => seen.add(service.isUp()), 1);
    const asking = setInterval(() => void service.prepared.query('SELECT 1'), pauseMs);
    for (let round = 0; round < 2; round += 1) {
      const slow = [1, 2, 3, 4].map(() => service.query('SELECT pg_sleep(2.7)'));
      for (const read of await Promise.allSettled(slow)) expect(read.status).toBe('rejected');
    }
    clearInterval(asking);
    await sleep(20);
    clearInterval(looking);
    expect([...seen]).toEqual([true]);
    close();
  });

  it('is no audit, and neither waits for the other', { timeout: 30_000 }, async () => {
    const service = await boot(undefined, { poolSize: 1 });
    await eventually('the service is ready', isReady(service));
    const dataSource = apps.at(-1)!.get(DataSource);
    const read = (kind: 'audit' | 'report', seconds: number): Promise<unknown> =>
      readPatiently(dataSource, kind, 60_000, (ask) => ask('SELECT pg_sleep($1)', [seconds]));
    const audits = [read('audit', 3), read('audit', 0)];
    const isAudited = Promise.all(audits).then(() => true);
    await eventually('the audit is under way', async () => (await sleeping(service)) === 1);
    await read('report', 0.1);
    const reports = [read('report', 3), read('report', 3), read('report', 3)];
    await eventually('the reports are under way', async () => (await sleeping(service)) === 3);
    expect(await Promise.race([isAudited, Promise.all(reports).then(() => false)])).toBe(true);
    await Promise.all(reports);
  });

  it('that finds no connection left is no outage', async () => {
    await database.query(`CREATE ROLE limited LOGIN PASSWORD 'limited' CONNECTION LIMIT 1`);
    const url = new URL(database.url);
    Object.assign(url, { username: 'limited', password: 'limited' });
    const service = await boot(url.href, { poolSize: 1, migrateOnBoot: false });
    await service.query('SELECT 1');
    for (let report = 0; report < 5; report += 1) {
      await expect(service.patient.query('SELECT 1')).rejects.toMatchObject({ code: 'database_unavailable' });
    }
    expect(service.isUp()).toBe(true);
    expect(service.status().lastError).toBeUndefined();
    for (const app of apps.splice(0)) await app.close();
    await database.query('DROP OWNED BY limited; DROP ROLE limited');
  });

  it('has its end, also when the database says no goodbye', async () => {
    const service = await boot();
    await eventually('the service is ready', isReady(service));
    const dataSource = apps.at(-1)!.get(DataSource);
    const end = readPatiently(dataSource, 'report', 60_000, async () => {
      proxy.faults = { down: { latencyMs: 8_000 } };
      throw new Error('what went wrong');
    }).catch((error: Error) => error.message);
    expect(await Promise.race([end, sleep(4_000, 'no end')])).toBe('what went wrong');
  });

  it('writes nothing', async () => {
    const service = await boot();
    await eventually('the service is ready', isReady(service));
    await expect(service.patient.query('CREATE TABLE something ()')).rejects.toThrow();
    expect(await service.query(`SELECT to_regclass('something') AS made`)).toEqual([{ made: null }]);
  });
});
