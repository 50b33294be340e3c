import { execFile } from 'node:child_process';
import { readFile, readdir, readlink, realpath, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { hasErrorCode } from '../error-code.js';
import { type Answer, Patience, type Waiting } from './patience.js';
import { isRunning } from './process-identity.js';

const run = promisify(execFile);
const POLL_MS = 20;
/** How long one may keep silent before it counts as hung. */
const SILENCE_MS = 5_000;
/** How long an orderly shutdown may take. */
const STOP_MS = 20_000;
/** SQLSTATE cannot_connect_now: starting up, shutting down, recovering. */
const CANNOT_CONNECT_NOW = '57P03';
const TOO_MANY_CONNECTIONS = '53300';

/** A running PostgreSQL server (its parent process), as its `postmaster.pid` describes it. */
export interface Postmaster {
  readonly pid: number;
  readonly port: number;
  /** It has written that it accepts connections. */
  readonly ready: boolean;
}

/** `undefined` when there is no such file, or it isn't written to its end yet. */
export async function readPostmasterFile(clusterDir: string): Promise<Postmaster | undefined> {
  const text = await readFile(pidFile(clusterDir), 'utf8').catch(() => undefined);
  // pid, folder, start, port, socket folder, address, shared memory, status
  const [pid, , , port, , , , status] = text?.split('\n') ?? [];
  if (!Number(pid) || !Number(port)) return undefined;
  return { pid: Number(pid), port: Number(port), ready: status?.trim() === 'ready' };
}

/**
 * The living server of a cluster: an orphan of a killed gateway, or the one another gateway uses.
 *
 * Whoever lets us in with the cluster's own random password is that server. One that is busy recovering or shutting
 * down is waited for, one that keeps silent is killed. A pid file whose number now belongs to another process is
 * removed, since PostgreSQL would refuse to start over it.
 */
export async function findLivingPostmaster(
  clusterDir: string,
  password: string,
  waiting: Waiting,
): Promise<Postmaster | undefined> {
  const patience = new Patience(waiting, SILENCE_MS);
  for (;;) {
    const found = await readPostmasterFile(clusterDir);
    if (!found) return undefined;
    if (!(await isRunning(found.pid))) return forgetDead(clusterDir, found.pid);
    const answer = await knock(found.port, password);
    if (answer === 'let in') return found;
    if (!(await isPostmasterOf(found.pid, clusterDir))) return forgetDead(clusterDir, found.pid);
    if (answer === 'full') return found;
    if (patience.endsAt(answer)) {
      await killPostmaster(found.pid, clusterDir);
      return undefined;
    }
    await sleep(POLL_MS * 5, undefined, { signal: waiting.signal });
  }
}

/** One login and out again. */
export async function knock(port: number, password: string): Promise<Answer> {
  const client = new Client({
    host: '127.0.0.1',
    port,
    user: 'postgres',
    database: 'postgres',
    password,
    connectionTimeoutMillis: 1_000,
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.end();
    return 'let in';
  } catch (error) {
    if (hasErrorCode(error, TOO_MANY_CONNECTIONS)) return 'full';
    if (!(error instanceof Error) || !hasErrorCode(error, CANNOT_CONNECT_NOW)) return 'silence';
    // always in English: LC_ALL=C
    return error.message.includes('shutting down') ? 'shutting down' : 'recovering';
  }
}

/** Fast shutdown: open transactions are rolled back, data is written out. Resolves when the process is gone. */
export async function stopPostmaster(pid: number, clusterDir: string, pgCtl: string): Promise<void> {
  if (process.platform === 'win32') {
    // no signals there: SIGINT would just end the process
    await run(pgCtl, ['stop', '-D', clusterDir, '-m', 'fast', '-w'], { windowsHide: true });
    return;
  }
  signal(pid, 'SIGINT');
  if (!(await waitForEnd(pid, STOP_MS))) await killPostmaster(pid, clusterDir);
}

export async function killPostmaster(pid: number, clusterDir: string): Promise<void> {
  signal(pid, 'SIGCONT');
  signal(pid, 'SIGQUIT');
  if (!(await waitForEnd(pid, 3_000))) signal(pid, 'SIGKILL');
  await waitForEnd(pid, 2_000);
  await waitForBackends(clusterDir);
}

export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // gone already
  }
}

async function waitForEnd(pid: number, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (await isRunning(pid)) {
    if (performance.now() > deadline) return false;
    await sleep(POLL_MS);
  }
  return true;
}

/**
 * The number in the pid file is nobody's, or another process's by now. PostgreSQL clears a dead number itself, and
 * needs the file to see whether sessions of the dead server still live; only a number that is taken has to go.
 */
async function forgetDead(clusterDir: string, pid: number): Promise<undefined> {
  await waitForBackends(clusterDir);
  if (isTaken(pid)) await rm(pidFile(clusterDir), { force: true });
  return undefined;
}

/** As PostgreSQL looks at it, to which a number of another user's process (EPERM) is not taken. */
function isTaken(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Sessions outlive a killed server for a moment; they must be gone before the next server touches the files. */
async function waitForBackends(clusterDir: string): Promise<void> {
  const deadline = performance.now() + 5_000;
  while ((await processesIn(clusterDir)) > 0 && performance.now() < deadline) await sleep(POLL_MS * 5);
}

/** How many processes have the cluster as their working folder, as all of PostgreSQL's do. Linux only, else 0. */
async function processesIn(clusterDir: string): Promise<number> {
  const target = await realpath(clusterDir);
  const entries = await readdir('/proc').catch(() => []);
  const pids = entries.filter((name) => /^\d+$/.test(name));
  const folders = await Promise.all(pids.map((pid) => readlink(`/proc/${pid}/cwd`).catch(() => undefined)));
  return folders.filter((folder) => folder === target).length;
}

async function isPostmasterOf(pid: number, clusterDir: string): Promise<boolean> {
  if (process.platform === 'win32') return false;
  if (process.platform === 'linux') {
    const folder = await readlink(`/proc/${pid}/cwd`).catch(() => undefined);
    return folder === (await realpath(clusterDir));
  }
  const { stdout } = await run('ps', ['-o', 'comm=', '-p', String(pid)]).catch(() => ({ stdout: '' }));
  return stdout.includes('postgres');
}

function pidFile(clusterDir: string): string {
  return join(clusterDir, 'postmaster.pid');
}
