import { execFile, spawn } from 'node:child_process';
import { open, readFile, rename, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { openClusterFolder } from './cluster-folder.js';
import { freePort } from './free-port.js';
import type { PostgresBinaries } from './postgres-binaries.js';
import { Patience, type Waiting } from './patience.js';
import { killPostmaster, knock, readPostmasterFile, type Postmaster } from './postmaster.js';
import type { ServerAccount } from './server-account.js';
import { serverEnvironment } from './server-environment.js';

const run = promisify(execFile);
const POLL_MS = 10;
/** Most are ready long before anybody has to ask them. */
const KNOCK_EVERY_MS = 1_000;
/** How long a new one may keep silent. */
const SILENCE_MS = 60_000;
const ATTEMPTS = 5;
const LOG_LIMIT_BYTES = 5_000_000;
/** Faults of the moment: a free port taken by another, sessions of a killed server that are still going. */
const PASSING_FAULT = /could not bind|could not create any TCP|pre-existing shared memory/;

export interface LaunchOptions {
  readonly clusterDir: string;
  readonly logFile: string;
  readonly binaries: PostgresBinaries;
  readonly account: ServerAccount | undefined;
  readonly fsync: boolean;
  /** Listen there and nowhere else (a restart under living clients); `undefined` = any free port. */
  readonly port: number | undefined;
  readonly password: string;
  readonly waiting: Waiting;
}

/**
 * Starts the server and waits until it accepts connections.
 *
 * It is detached: Ctrl-C in a terminal goes to every process of the foreground group, and the gateway must be able to
 * settle its last requests first. It listens on 127.0.0.1 only, with a password; no socket file, so none can be stale.
 *
 * @throws Error with the end of the server's log; nothing is left running then
 */
export async function launchServer(options: LaunchOptions): Promise<Postmaster> {
  await rotateLog(options.logFile);
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await launchOnce(options, options.port ?? (await freePort()));
    } catch (error) {
      const passing = error instanceof Error && PASSING_FAULT.test(error.message);
      if (!passing || attempt === ATTEMPTS) throw error;
      await sleep(200 * attempt);
    }
  }
}

async function launchOnce(options: LaunchOptions, port: number): Promise<Postmaster> {
  await using log = await open(options.logFile, 'a', 0o600);
  // the owner of the cluster may start it without root next time
  if (options.account) await log.chown(options.account.uid, options.account.gid);
  const { size: logStart } = await log.stat();
  const start = process.platform === 'win32' ? startThroughPgCtl : startDetached;
  const ready = await waitUntilReady(options, port, await start(options, port, log.fd));
  if (ready) return ready;
  const text = (await readFile(options.logFile, 'utf8')).slice(logStart);
  throw new Error(`the embedded PostgreSQL did not start; its log says:\n${text.slice(-2_000)}`);
}

interface Launched {
  /** `undefined` where the server isn't our child. */
  readonly pid: number | undefined;
  readonly hasEnded: () => boolean;
}

async function startDetached(options: LaunchOptions, port: number, logFd: number): Promise<Launched> {
  await using folder = await openClusterFolder(options.clusterDir, options.account);
  const child = spawn(
    options.binaries.postgres,
    ['-D', folder.path, ...serverSettings(port, options.fsync)],
    {
      ...options.account,
      cwd: '/',
      detached: true,
      env: serverEnvironment(),
      stdio: ['ignore', logFd, logFd, ...folder.inherited],
    },
  );
  let ended = false;
  child.on('exit', () => (ended = true));
  await new Promise<void>((resolve, reject) => {
    child.on('spawn', resolve);
    child.on('error', reject);
  });
  child.unref();
  return { pid: child.pid, hasEnded: () => ended };
}

/** pg_ctl gives up an administrator's rights, which the server refuses on Windows too. */
async function startThroughPgCtl(options: LaunchOptions, port: number): Promise<Launched> {
  const settings = serverSettings(port, options.fsync).map((part) => (part === '-c' ? part : `"${part}"`));
  await run(
    options.binaries.pgCtl,
    ['start', '-W', '-D', options.clusterDir, '-l', options.logFile, '-o', settings.join(' ')],
    { windowsHide: true },
  );
  return { pid: undefined, hasEnded: () => false };
}

function serverSettings(port: number, fsync: boolean): string[] {
  const settings = [
    `port=${port}`,
    'listen_addresses=127.0.0.1',
    'unix_socket_directories=',
    'max_connections=200',
    'deadlock_timeout=200ms',
    'log_timezone=UTC',
    'log_checkpoints=off',
    'jit=off',
    ...(fsync ? [] : ['fsync=off', 'full_page_writes=off', 'synchronous_commit=off']),
  ];
  return settings.flatMap((setting) => ['-c', setting]);
}

/**
 * The file may still be that of a server that was killed: it counts only when it names the new one.
 *
 * @returns `undefined` when the server has ended, or was ended because it took too long
 */
async function waitUntilReady(
  options: LaunchOptions,
  port: number,
  { pid, hasEnded }: Launched,
): Promise<Postmaster | undefined> {
  const patience = new Patience(options.waiting, SILENCE_MS);
  let knockMs = performance.now() + KNOCK_EVERY_MS;
  while (!hasEnded()) {
    const found = await readPostmasterFile(options.clusterDir);
    const isOurs = found?.port === port && found.pid === (pid ?? found.pid);
    if (isOurs && found.ready) return found;
    if (performance.now() >= knockMs) {
      if (patience.endsAt(isOurs ? await knock(port, options.password) : 'silence')) {
        const last = pid ?? (isOurs ? found.pid : undefined);
        if (last !== undefined) await killPostmaster(last, options.clusterDir);
        return undefined;
      }
      knockMs = performance.now() + KNOCK_EVERY_MS;
    }
    await sleep(POLL_MS, undefined, { signal: options.waiting.signal });
  }
  return undefined;
}

async function rotateLog(file: string): Promise<void> {
  const status = await stat(file).catch(() => undefined);
  if (status && status.size > LOG_LIMIT_BYTES) await rename(file, `${file}.1`);
}
