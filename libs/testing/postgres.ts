import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { Client, type QueryResultRow } from 'pg';
import { inject } from 'vitest';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../src/database/embedded-postgres.js';

declare module 'vitest' {
  interface ProvidedContext {
    /** Folder of this run, made by test/global-setup.ts. */
    runDirectory: string;
    /** Superuser's URL of the run's PostgreSQL. */
    postgresUrl: string;
  }
}

/** A database with every migration applied; `createDatabase` copies it. */
export const TEMPLATE_DATABASE = 'migrated';

export interface TestDatabase {
  readonly url: string;
  readonly name: string;
  /** One statement on a connection of its own. */
  query<Row extends QueryResultRow>(sql: string, parameters?: unknown[]): Promise<Row[]>;
  drop(): Promise<void>;
}

export interface CreateDatabaseOptions {
  /** `false` = an empty database, for tests of the migrations themselves. */
  readonly migrated?: boolean;
}

/** A database of its own for one test file, on the server that test/global-setup.ts started. */
export async function createDatabase(options: CreateDatabaseOptions = {}): Promise<TestDatabase> {
  const name = `test_${randomBytes(6).toString('hex')}`;
  const template = options.migrated === false ? 'template0' : TEMPLATE_DATABASE;
  await runSql(inject('postgresUrl'), `CREATE DATABASE ${name} TEMPLATE ${template} STRATEGY FILE_COPY`);
  const url = withDatabase(inject('postgresUrl'), name);
  return {
    url,
    name,
    query: (sql, parameters) => runSql(url, sql, parameters),
    drop: async () => {
      await runSql(inject('postgresUrl'), `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    },
  };
}

/** A server of its own, for tests that stop, freeze or kill it. Its data is gone with the run. */
export function startPostgres(): Promise<EmbeddedPostgres> {
  const dataDir = join(inject('runDirectory'), `postgres-${randomBytes(4).toString('hex')}`);
  return startEmbeddedPostgres({ dataDir, fsync: false });
}

/** The same server, another database. */
export function withDatabase(serverUrl: string, database: string): string {
  const url = new URL(serverUrl);
  url.pathname = `/${database}`;
  return url.toString();
}

/** Connects, runs one statement, disconnects. */
export async function runSql<Row extends QueryResultRow>(
  url: string,
  sql: string,
  parameters: unknown[] = [],
): Promise<Row[]> {
  const client = new Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    const { rows } = await client.query<Row>(sql, parameters);
    return rows;
  } finally {
    await client.end();
  }
}
