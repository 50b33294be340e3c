import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { ConfigurationError } from '../config/configuration-error.js';
import { withDataDirLock } from './embedded/data-dir-lock.js';
import { ensureCluster } from './embedded/initialise-cluster.js';
import { launchServer } from './embedded/launch-server.js';
import type { Waiting } from './embedded/patience.js';
import { locatePostgresBinaries, type PostgresBinaries } from './embedded/postgres-binaries.js';
import {
  findLivingPostmaster,
  readPostmasterFile,
  signal,
  stopPostmaster,
  type Postmaster,
} from './embedded/postmaster.js';
import { isRunning } from './embedded/process-identity.js';
import { chooseServerAccount, type ServerAccount } from './embedded/server-account.js';
import { ServerUsers } from './embedded/server-users.js';

const LOCK_TIMEOUT_MS = 120_000;
/** Whoever has it may be waiting for a server that is recovering. */
const START_LOCK_TIMEOUT_MS = 1_800_000;
const WATCH_INTERVAL_MS = 1_000;

export interface EmbeddedPostgresOptions {
  /** Folder of the gateway's data; the database lives below it in `postgres/`. Made when missing. */
  readonly dataDir: string;
  /** `false` trades durability for speed: for tests only. Default `true`. */
  readonly fsync?: boolean;
  readonly log?: (message: string) => void;
  /** How long a server is waited for: for tests only. */
  readonly patience?: Pick<Waiting, 'silenceMs'> | undefined;
}

export interface EmbeddedPostgres {
  /** `postgres://…` of the superuser; holds the password. The same for the whole life of this object. */
  readonly url: string;
  /** True when the server was running already: an orphan of a killed gateway, or another gateway's on this folder. */
  readonly attached: boolean;
  /** Resolves when the server is down, or at once when other living processes use it. A second call does nothing. */
  stop(): Promise<void>;
}

/**
 * A real PostgreSQL server of our own, on 127.0.0.1 and a free port: the default database for a machine without one.
 *
 * Several gateways may share a data folder: the first starts the server, the others attach, the last one to leave stops
 * it. A server that outlived its gateway (kill -9) is taken over. One that dies is started again on the same port.
 * Everything about it is kept below `dataDir`; README.md of this folder says what.
 *
 * @throws ConfigurationError  when it cannot be had
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const dataDir = resolve(options.dataDir);
  const server = new EmbeddedServer(dataDir, options);
  try {
    await mkdir(dataDir, { recursive: true });
    await server.start();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ConfigurationError([`DATA_DIR: no embedded PostgreSQL in ${dataDir}: ${reason}`], {
      cause: error,
    });
  }
  return server;
}

class EmbeddedServer implements EmbeddedPostgres {
  attached = false;
  readonly #dataDir: string;
  readonly #fsync: boolean;
  readonly #log: (message: string) => void;
  readonly #waiting: Waiting;
  readonly #stopping = new AbortController();
  readonly #clusterDir: string;
  readonly #users: ServerUsers;
  #binaries: PostgresBinaries;
  #account: ServerAccount | undefined;
  #password: string;
  #postmaster: Postmaster;
  #watch: NodeJS.Timeout | undefined;
  #stopped: Promise<void> | undefined;
  #restarting = false;

  constructor(dataDir: string, options: EmbeddedPostgresOptions) {
    this.#dataDir = dataDir;
    this.#fsync = options.fsync ?? true;
    this.#log = options.log ?? (() => undefined);
    this.#waiting = { ...options.patience, log: this.#log, signal: this.#stopping.signal };
    this.#clusterDir = join(dataDir, 'postgres');
    this.#users = new ServerUsers(join(dataDir, 'postgres.users'));
  }

  get url(): string {
    return `postgres://postgres:${this.#password}@127.0.0.1:${this.#postmaster.port}/postgres`;
  }

  async start(): Promise<void> {
    this.#account = await chooseServerAccount(this.#clusterDir);
    this.#binaries = await locatePostgresBinaries(this.#account);
    await this.#locked(() => this.#startOrAttach(), START_LOCK_TIMEOUT_MS);
    const how = this.attached ? 'attached to the running' : 'started the';
    this.#log(`${how} embedded PostgreSQL in ${this.#clusterDir} (port ${this.#postmaster.port})`);
    process.once('exit', this.#abandon);
    this.#watch = setInterval(() => void this.#restartIfDead(), WATCH_INTERVAL_MS).unref();
  }

  async #startOrAttach(): Promise<void> {
    await this.#users.join();
    try {
      this.#password = await ensureCluster(this.#clusterDir, this.#binaries, this.#account, this.#fsync);
      const living = await findLivingPostmaster(this.#clusterDir, this.#password, this.#waiting);
      this.attached = living !== undefined;
      this.#postmaster = living ?? (await this.#launch(undefined));
    } catch (error) {
      await this.#users.leave();
      throw error;
    }
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    clearInterval(this.#watch);
    // A start that waits for the server has the lock.
    this.#stopping.abort();
    process.off('exit', this.#abandon);
    await this.#locked(async () => {
      const stillUsed = await this.#users.leave();
      if (stillUsed) return;
      // not the one we know when another gateway had to start it again
      const { pid } = (await readPostmasterFile(this.#clusterDir)) ?? this.#postmaster;
      await stopPostmaster(pid, this.#clusterDir, this.#binaries.pgCtl);
      this.#log('stopped the embedded PostgreSQL');
    });
  }

  /**
   * A refused start (a bad setting, a port in use) ends the process at once: nothing can be awaited then, but a signal can
   * be sent. On Windows that would be a kill; there the next start takes the server over.
   */
  readonly #abandon = (): void => {
    if (this.#stopped || process.platform === 'win32' || this.#users.leaveSync()) return;
    signal(this.#postmaster.pid, 'SIGINT');
  };

  /** Clients know the port, so the server must come back on it; when that fails the next tick tries again. */
  async #restartIfDead(): Promise<void> {
    if (this.#restarting || this.#stopped || (await isRunning(this.#postmaster.pid))) return;
    this.#restarting = true;
    try {
      await this.#locked(async () => {
        if (this.#stopped) return;
        const living = await findLivingPostmaster(this.#clusterDir, this.#password, this.#waiting);
        this.#postmaster = living ?? (await this.#launch(this.#postmaster.port));
      }, START_LOCK_TIMEOUT_MS);
      this.#log('the embedded PostgreSQL had died and was started again');
    } catch (error) {
      if (this.#stopped) return;
      this.#log(`the embedded PostgreSQL died and cannot be started again: ${String(error)}`);
    } finally {
      this.#restarting = false;
    }
  }

  #launch(port: number | undefined): Promise<Postmaster> {
    return launchServer({
      clusterDir: this.#clusterDir,
      logFile: join(this.#dataDir, 'postgres.log'),
      binaries: this.#binaries,
      account: this.#account,
      fsync: this.#fsync,
      port,
      password: this.#password,
      waiting: this.#waiting,
    });
  }

  #locked(work: () => Promise<void>, timeoutMs = LOCK_TIMEOUT_MS): Promise<void> {
    return withDataDirLock(join(this.#dataDir, 'postgres.lock'), { timeoutMs, log: this.#log }, work);
  }
}
