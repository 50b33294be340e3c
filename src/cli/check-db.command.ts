import { loadConfiguration } from '../config/load-configuration.js';
import { checkDatabase } from '../database/check-database.js';
import type { Output } from './command.js';

/** Reaches the database and says what it found. Pending migrations are a fault only when the boot would not apply them. */
export async function checkDbCommand(_args: readonly string[], output: Output): Promise<number> {
  const { config } = loadConfiguration(undefined, { createSecret: false, writesLogs: false });
  const { version, latencyMs, pendingMigrations, embedded } = await checkDatabase(config, output.err);
  output.out(`database: PostgreSQL ${version}${embedded ? ' (embedded)' : ''}`);
  output.out(`latency: ${latencyMs.toFixed(1)} ms`);
  output.out(`pending migrations: ${pendingMigrations.length === 0 ? 'none' : pendingMigrations.join(', ')}`);
  if (pendingMigrations.length === 0 || config.database.migrateOnBoot) return 0;
  output.err('DATABASE_MIGRATE: is false and migrations are pending; run `npm run migration:run`');
  return 1;
}
