import { createDatabase, type TestDatabase } from '@app/testing';
import { DataSource } from 'typeorm';
import { BILLING_ENTITIES, BILLING_MIGRATIONS } from '../../src/billing/persistence.js';

/** A database of one billing test file, reached the way the gateway reaches it. */
export interface BillingDatabase {
  readonly database: TestDatabase;
  readonly dataSource: DataSource;
  close(): Promise<void>;
}

/** Real PostgreSQL, empty money tables. Migrates by itself, so that it depends on nothing but the migrations. */
export async function openBillingDatabase(poolSize = 16): Promise<BillingDatabase> {
  const database = await createDatabase({ migrated: false });
  const dataSource = await connect(database.url, poolSize);
  await dataSource.runMigrations();
  return {
    database,
    dataSource,
    close: async () => {
      await dataSource.destroy();
      await database.drop();
    },
  };
}

export function connect(url: string, poolSize = 16): Promise<DataSource> {
  return new DataSource({
    type: 'postgres',
    url,
    entities: BILLING_ENTITIES,
    migrations: BILLING_MIGRATIONS,
    poolSize,
    extra: {
      connectionTimeoutMillis: 1000,
      statement_timeout: 2000,
      query_timeout: 2500,
      lock_timeout: 1000,
    },
    poolErrorHandler: () => undefined,
  }).initialize();
}
