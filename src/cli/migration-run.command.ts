import { loadConfiguration } from '../config/load-configuration.js';
import { runMigrationsOnce } from '../database/check-database.js';
import type { Output } from './command.js';

export async function migrationRunCommand(_args: readonly string[], output: Output): Promise<number> {
  const { config } = loadConfiguration(undefined, { createSecret: false, writesLogs: false });
  const applied = await runMigrationsOnce(config, output.err);
  output.out(applied.length === 0 ? 'nothing to apply' : `applied: ${applied.join(', ')}`);
  return 0;
}
