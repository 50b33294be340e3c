import { createDatabase, type TestDatabase } from '@app/testing';
import { Logger } from '@nestjs/common';
import type { DataSource } from 'typeorm';
import { connect } from './billing-machine.js';

export * from './billing-machine.js';

// What a machine has to say is in its events.
Logger.overrideLogger(false);

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
