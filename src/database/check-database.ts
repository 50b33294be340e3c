import { DataSource } from 'typeorm';
import type { AppConfig } from '../config/app-config.js';
import { DatabaseRefusesError, isConnectionError } from './connection-error.js';
import { describeTarget } from './connection-target.js';
import { dataSourceOptions, migrationOptions, type DataSourceSettings } from './data-source-options.js';
import { openDatabaseEndpoint } from './database-endpoint.js';
import { DatabaseHealth } from './database-health.js';
import { hasErrorCode } from './error-code.js';
import { applyMigrations, initialiseDataSource, listPendingMigrations } from './migrations.js';

type DatabaseConfig = Pick<AppConfig, 'database' | 'dataDir'>;
/** Told what happens before the answer: a start, a wait. */
type Log = (message: string) => void;
const ignore: Log = () => undefined;

export interface DatabaseCheck {
  /** The server's, e.g. `18.4`. */
  readonly version: string;
  /** Of the fastest of three round trips. */
  readonly latencyMs: number;
  readonly pendingMigrations: readonly string[];
  readonly embedded: boolean;
}

/**
 * What `check:db` reports. Starts the embedded database when none is configured, and stops it again.
 *
 * @throws Error when the database can't be reached; its message holds no password
 */
export async function checkDatabase(config: DatabaseConfig, log: Log = ignore): Promise<DatabaseCheck> {
  return withEndpoint(config, log, async (settings, embedded) => {
    const dataSource = new DataSource(dataSourceOptions(settings));
    await initialiseDataSource(dataSource);
    try {
      return {
        version: await readVersion(dataSource),
        latencyMs: await measureLatency(dataSource),
        pendingMigrations: await listPendingMigrations(dataSource),
        embedded,
      };
    } finally {
      await dataSource.destroy();
    }
  });
}

/** What `migration:run` does. @returns the names of the applied migrations, none when there was nothing to do */
export function runMigrationsOnce(config: DatabaseConfig, log: Log = ignore): Promise<string[]> {
  return withEndpoint(config, log, (settings) => applyMigrations(migrationOptions(settings), log));
}

async function withEndpoint<T>(
  config: DatabaseConfig,
  log: Log,
  work: (settings: DataSourceSettings, embedded: boolean) => Promise<T>,
): Promise<T> {
  const endpoint = await openDatabaseEndpoint(config, log);
  try {
    const settings = { url: endpoint.url, poolSize: 2, health: new DatabaseHealth() };
    return await sayingWhere(endpoint.url, () => work(settings, endpoint.embedded));
  } finally {
    await endpoint.release();
  }
}

/** For a terminal: an outage names the database that is not there, which may not be the one that is meant. */
export async function sayingWhere<T>(url: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Error) || !isConnectionError(error)) throw error;
    const text = `the database ${describeTarget(url)} ${whatItDid(error)}: ${error.message || error.name}`;
    throw new Error(text, { cause: error });
  }
}

function whatItDid(error: Error): string {
  if (error instanceof DatabaseRefusesError) return 'refuses the connection';
  return wasTooSlow(error) ? 'did not respond in time' : 'cannot be reached';
}

/** It is there, and ended a statement that took too long or waited too long for a lock. */
function wasTooSlow(error: Error): boolean {
  return hasErrorCode(error, '57014', '55P03');
}

async function readVersion(dataSource: DataSource): Promise<string> {
  const rows: { server_version: string }[] = await dataSource.query('SHOW server_version');
  return rows[0]?.server_version ?? 'unknown';
}

async function measureLatency(dataSource: DataSource): Promise<number> {
  let fastestMs = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 3; round += 1) {
    const startMs = performance.now();
    await dataSource.query('SELECT 1');
    fastestMs = Math.min(fastestMs, performance.now() - startMs);
  }
  return fastestMs;
}
