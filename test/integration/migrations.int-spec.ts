import { setTimeout as sleep } from 'node:timers/promises';
import { createDatabase, type TestDatabase } from '@app/testing';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { DataSource, type QueryRunner } from 'typeorm';
import { checkDatabase, runMigrationsOnce } from '../../src/database/check-database.js';
import { dataSourceOptions, migrationOptions } from '../../src/database/data-source-options.js';
import { DatabaseHealth } from '../../src/database/database-health.js';
import { applyMigrations, listPendingMigrations } from '../../src/database/migrations.js';
import { MIGRATIONS } from '../../src/database/schema.js';
import { Secret } from '../../src/config/secret.js';

let database: TestDatabase;
beforeEach(async () => {
  database = await createDatabase({ migrated: false });
});
afterEach(() => database.drop());

const settings = () => ({ url: database.url, poolSize: 2, health: new DatabaseHealth() });

it('several instances that boot at once apply each migration once', async () => {
  const applied = await Promise.all(
    Array.from({ length: 6 }, () => applyMigrations(migrationOptions(settings()))),
  );
  expect(applied.filter((names) => names.length > 0)).toHaveLength(1);
  const rows = await database.query<{ name: string }>('SELECT name FROM gateway_migrations ORDER BY id');
  expect(rows.map((row) => row.name)).toEqual(applied.flat());
  expect(rows).toHaveLength(MIGRATIONS.length);
});

it('the tables fit the entities', async () => {
  await applyMigrations(migrationOptions(settings()));
  const dataSource = await new DataSource(dataSourceOptions(settings())).initialize();
  try {
    expect(dataSource.entityMetadatas).not.toEqual([]);
    for (const { target } of dataSource.entityMetadatas)
      await dataSource.getRepository(target).find({ take: 1 });
  } finally {
    await dataSource.destroy();
  }
});

it('looking for pending migrations writes nothing', async () => {
  const dataSource = await new DataSource(dataSourceOptions(settings())).initialize();
  expect(await listPendingMigrations(dataSource)).toHaveLength(MIGRATIONS.length);
  await dataSource.destroy();
  expect(await database.query(`SELECT 1 FROM pg_tables WHERE schemaname = 'public'`)).toEqual([]);
});

it('check:db and migration:run report what is so', async () => {
  const config = {
    dataDir: '/nowhere',
    database: {
      url: new Secret(database.url),
      migrateOnBoot: true,
      poolSize: 2,
      preparedStatements: 'auto' as const,
    },
  };
  const before = await checkDatabase(config);
  expect(before).toMatchObject({ embedded: false });
  expect(before.version).toMatch(/^18\./);
  expect(before.latencyMs).toBeGreaterThan(0);
  expect(before.pendingMigrations).toHaveLength(MIGRATIONS.length);
  expect(await runMigrationsOnce(config)).toEqual(before.pendingMigrations);
  expect(await runMigrationsOnce(config)).toEqual([]);
  expect((await checkDatabase(config)).pendingMigrations).toEqual([]);
});

class ChangeBusyTable1796083200001 {
  up = (runner: QueryRunner) => runner.query('ALTER TABLE busy ADD COLUMN more bigint NOT NULL DEFAULT 0');
  down = () => Promise.reject(new Error('forward-only'));
}

it('a migration that has to wait for an audit or a backup does not stop the requests behind it', async () => {
  await database.query('CREATE TABLE busy (id bigint)');
  const dataSource = await new DataSource(dataSourceOptions(settings())).initialize();
  const audit = dataSource.createQueryRunner();
  try {
    await audit.startTransaction();
    await audit.query('SET LOCAL idle_in_transaction_session_timeout = 0');
    await audit.query('SELECT count(*) FROM busy');
    const migrations = [ChangeBusyTable1796083200001];
    const told: string[] = [];
    const options = migrationOptions({ ...settings(), migrations });
    const migrating = applyMigrations(options, (line) => told.push(line));
    const endMs = performance.now() + 3_000;
    while (performance.now() < endMs) {
      await dataSource.query('SELECT count(*) FROM busy');
      await sleep(50);
    }
    await audit.commitTransaction();
    expect(await migrating).toEqual(['ChangeBusyTable1796083200001']);
    expect(told).toEqual([expect.stringContaining('another session has locked')]);
    await dataSource.query('SELECT more FROM busy');
  } finally {
    await audit.release();
    await dataSource.destroy();
  }
});
