import type { Client, Pool } from 'pg';
import type { DataSource } from 'typeorm';
import { databaseUnavailable } from './connection-error.js';
import type { ObservedClientConfig } from './observed-client.js';

/** With what the types leave out. */
interface ObservedPool extends Pool {
  readonly Client: new (config: ObservedClientConfig) => Client;
}

/**
 * The node-postgres pool that TypeORM's driver keeps.
 *
 * @throws GatewayError `database_unavailable` before the first connection
 */
export function poolOf(dataSource: DataSource): ObservedPool {
  if (!dataSource.isInitialized) throw databaseUnavailable();
  return (dataSource.driver as unknown as { master: ObservedPool }).master;
}
