import type { AppConfig } from '../config/app-config.js';
import { startEmbeddedPostgres } from './embedded-postgres.js';

/** Injection token of the `DatabaseEndpoint`. */
export const DATABASE_ENDPOINT = Symbol('DATABASE_ENDPOINT');

/** Where the database is, and how to leave it. */
export interface DatabaseEndpoint {
  /** Connection string; holds a password. */
  readonly url: string;
  /** True when it is our own server below `DATA_DIR`. */
  readonly embedded: boolean;
  /** Stops the embedded server when nobody else uses it; nothing for a configured one. */
  release(): Promise<void>;
}

/** The configured database, or the embedded one, which is started (or attached to) first. */
export async function openDatabaseEndpoint(
  config: Pick<AppConfig, 'database' | 'dataDir'>,
  log: (message: string) => void,
): Promise<DatabaseEndpoint> {
  const configured = config.database.url;
  if (configured) return { url: configured.reveal(), embedded: false, release: () => Promise.resolve() };
  const server = await startEmbeddedPostgres({ dataDir: config.dataDir, log });
  return { url: server.url, embedded: true, release: () => server.stop() };
}
