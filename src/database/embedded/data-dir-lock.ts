import { open, readFile, rename, rm, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { hasErrorCode } from '../error-code.js';
import { identifyProcess, isProcessAlive } from './process-identity.js';

const POLL_MS = 50;
const TELL_AFTER_MS = 2_000;
/** A lock without a name in it is being written this very moment, or its writer was killed in between. */
const NAMELESS_MS = 2_000;

export interface LockWaiting {
  readonly timeoutMs: number;
  /** Told once, when it takes long. */
  readonly log: (message: string) => void;
}

/**
 * Runs `work` while holding the lock file, so that of several gateways on one data folder only one at a time starts or
 * stops the server. A lock whose holder is dead is taken over at once.
 *
 * @throws Error when the lock isn't free within `timeoutMs`
 */
export async function withDataDirLock<T>(
  file: string,
  waiting: LockWaiting,
  work: () => Promise<T>,
): Promise<T> {
  await acquire(file, waiting);
  try {
    return await work();
  } finally {
    await rm(file, { force: true });
  }
}

async function acquire(file: string, { timeoutMs, log }: LockWaiting): Promise<void> {
  const identity = await identifyProcess(process.pid);
  const startMs = performance.now();
  let told = false;
  while (!(await tryCreate(file, identity))) {
    await removeIfStale(file);
    const waitedMs = performance.now() - startMs;
    if (!told && waitedMs > TELL_AFTER_MS) {
      told = true;
      log(`waiting for another process that starts or stops the embedded PostgreSQL (it holds ${file})`);
    }
    if (waitedMs > timeoutMs) {
      throw new Error(
        `Another process has held ${file} for ${timeoutMs} ms; remove the file if no such process is running.`,
      );
    }
    await sleep(POLL_MS);
  }
}

async function tryCreate(file: string, identity: string): Promise<boolean> {
  try {
    const handle = await open(file, 'wx', 0o600);
    await handle.writeFile(identity);
    await handle.close();
    return true;
  } catch (error) {
    if (hasErrorCode(error, 'EEXIST')) return false;
    throw error;
  }
}

async function removeIfStale(file: string): Promise<void> {
  const holder = await readHolder(file);
  if (holder === undefined || !(await isAbandoned(file, holder))) return;
  // Move it away before looking again: of two that saw the same dead holder only one gets to remove it.
  const aside = `${file}.${process.pid}`;
  try {
    await rename(file, aside);
  } catch (error) {
    if (hasErrorCode(error, 'ENOENT')) return;
    throw error;
  }
  if ((await readHolder(aside)) === holder) await rm(aside, { force: true });
  else await rename(aside, file);
}

async function isAbandoned(file: string, holder: string): Promise<boolean> {
  if (holder !== '') return !(await isProcessAlive(holder));
  const status = await stat(file).catch(() => undefined);
  return status !== undefined && Date.now() - status.mtimeMs > NAMELESS_MS;
}

async function readHolder(file: string): Promise<string | undefined> {
  return readFile(file, 'utf8').catch(() => undefined);
}
