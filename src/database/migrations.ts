import { setTimeout as sleep } from 'node:timers/promises';
import { DataSource, type DataSourceOptions, MigrationExecutor } from 'typeorm';
import { hasErrorCode } from './error-code.js';
import { isWorthAnImmediateRetry } from './observed-client.js';

/** Any fixed number that nobody else uses for an advisory lock: "llmgatew" as bytes. */
const LOCK_KEY = '7812739744365045111';

const LOCK_NOT_AVAILABLE = '55P03';
/** Between two attempts to lock a table that an audit or a backup reads: the traffic that waited goes on. */
const LOCK_PAUSE_MS = 1_500;
const LOCK_PATIENCE_MS = 15_000;
const TELL_AFTER_MS = 2_000;

/** Names of the migrations that the database has not seen, in order. Reads only. */
export async function listPendingMigrations(dataSource: DataSource): Promise<string[]> {
  const pending = await new MigrationExecutor(dataSource).getPendingMigrations();
  return pending.map((migration) => migration.name);
}

/**
 * Applies what is pending, each migration in a transaction of its own. Of several instances that boot at once one does
 * it; the others wait and find nothing left. The lock is bound to a transaction, so it holds on a transaction pooler
 * too, and the death of the process frees it.
 *
 * @param options  from `migrationOptions`: a connection of its own, with patience
 * @param log  told when it has to wait
 * @returns the names of the applied migrations
 */
export async function applyMigrations(
  options: DataSourceOptions,
  log: (message: string) => void = () => undefined,
): Promise<string[]> {
  const dataSource = new DataSource(options);
  await initialiseDataSource(dataSource);
  try {
    if ((await listPendingMigrations(dataSource)).length === 0) return [];
    return await withMigrationLock(dataSource, log, async () => {
      const pending = await listPendingMigrations(dataSource);
      await runWhenTablesAreFree(dataSource, log);
      return pending;
    });
  } finally {
    await dataSource.destroy();
  }
}

async function runWhenTablesAreFree(dataSource: DataSource, log: (message: string) => void): Promise<void> {
  const lastTryMs = performance.now() + LOCK_PATIENCE_MS;
  for (let attempt = 1; ; attempt++) {
    try {
      await dataSource.runMigrations({ transaction: 'each' });
      return;
    } catch (error) {
      if (!hasErrorCode(error, LOCK_NOT_AVAILABLE) || performance.now() > lastTryMs) throw error;
    }
    if (attempt === 1)
      log('migrations wait for a table that another session has locked (an audit, a backup?)');
    await sleep(LOCK_PAUSE_MS);
  }
}

async function withMigrationLock<T>(
  dataSource: DataSource,
  log: (message: string) => void,
  work: () => Promise<T>,
): Promise<T> {
  const holder = dataSource.createQueryRunner();
  const tell = setTimeout(() => log('waiting for another instance, which applies migrations'), TELL_AFTER_MS);
  try {
    await holder.startTransaction();
    await holder.query('SET LOCAL lock_timeout = 0');
    await holder.query('SELECT pg_advisory_xact_lock($1)', [LOCK_KEY]);
    clearTimeout(tell);
    return await work();
  } finally {
    clearTimeout(tell);
    await holder.rollbackTransaction().catch(() => undefined);
    await holder.release();
  }
}

/** Connects. The first attempt may find that the server wants to be spoken to otherwise (see ObservedClient). */
export async function initialiseDataSource(dataSource: DataSource): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await dataSource.initialize();
      return;
    } catch (error) {
      if (attempt === 3 || !isWorthAnImmediateRetry(error)) throw error;
    }
  }
}
