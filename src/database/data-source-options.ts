import type { PoolConfig } from 'pg';
import type { DataSourceOptions } from 'typeorm';
import { readConnectionTarget } from './connection-target.js';
import type { DatabaseHealth } from './database-health.js';
import { observedClient } from './observed-client.js';
import { ENTITIES, MIGRATIONS } from './schema.js';

export const MIGRATIONS_TABLE = 'gateway_migrations';

/**
 * Waiting times of the request path. The server ends a statement itself (`statement`); `query` is for a server that
 * doesn't even do that (frozen, or the network swallows everything), so it is the longer one.
 */
const REQUEST_TIMEOUTS_MS = {
  connect: 1_000,
  statement: 2_000,
  lock: 1_000,
  query: 2_500,
  idleInTransaction: 5_000,
};

/**
 * Migrations build indexes and wait for locks: only the wait for a lock is bounded. It stops the traffic behind it, so it
 * is shorter than that of a request; `applyMigrations` asks again.
 */
const MIGRATION_TIMEOUTS_MS = { connect: 5_000, statement: 0, lock: 500, query: 0, idleInTransaction: 0 };

export interface DataSourceSettings {
  /** Connection string; holds a password. */
  readonly url: string;
  readonly poolSize: number;
  readonly health: DatabaseHealth;
  /** Called for an idle connection that died. */
  readonly onIdleError?: (error: Error) => void;
  readonly migrations?: typeof MIGRATIONS;
}

/** TypeORM's options for the request path. */
export function dataSourceOptions(settings: DataSourceSettings): DataSourceOptions {
  return buildOptions(settings, REQUEST_TIMEOUTS_MS);
}

/** The same database for a run of migrations: patient, with two connections (one holds the lock). */
export function migrationOptions(settings: DataSourceSettings): DataSourceOptions {
  return buildOptions({ ...settings, poolSize: 2 }, MIGRATION_TIMEOUTS_MS);
}

function buildOptions(settings: DataSourceSettings, timeouts: typeof REQUEST_TIMEOUTS_MS): DataSourceOptions {
  const target = readConnectionTarget(settings.url);
  return {
    type: 'postgres',
    url: target.url,
    entities: ENTITIES,
    migrations: [...(settings.migrations ?? MIGRATIONS)],
    migrationsTableName: MIGRATIONS_TABLE,
    synchronize: false,
    migrationsRun: false,
    installExtensions: false,
    logging: false,
    poolSize: settings.poolSize,
    applicationName: 'llm-gateway',
    connectTimeoutMS: timeouts.connect,
    poolErrorHandler: settings.onIdleError ?? ((): void => undefined),
    extra: { Client: observedClient(settings.health, target), ...connectionOptions(timeouts) },
  };
}

/** node-postgres's options of a pool and its connections. */
export function connectionOptions(timeouts = REQUEST_TIMEOUTS_MS): PoolConfig {
  return {
    connectionTimeoutMillis: timeouts.connect,
    statement_timeout: timeouts.statement,
    lock_timeout: timeouts.lock,
    query_timeout: timeouts.query,
    idle_in_transaction_session_timeout: timeouts.idleInTransaction,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    idleTimeoutMillis: 30_000,
    // closing an idle connection now and then lets a failover or a rebalanced pooler be noticed
    maxLifetimeSeconds: 1_800,
  };
}
