import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import pg from 'pg';
import { eventually } from '../../libs/testing/eventually.ts';
import { freePort } from '../../src/database/embedded/free-port.ts';
import { noteProcess } from '../../libs/testing/run-directory.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/database/embedded-postgres.ts';
import { readPostmasterFile } from '../../src/database/embedded/postmaster.ts';

/** A real server with fsync on. One that was killed is started again within about a second, on its port. */
export class PostgresServer {
  kills = 0;
  freezes = 0;
  readonly #server: EmbeddedPostgres;
  readonly #dataDir: string;
  #frozen: number[] = [];

  private constructor(server: EmbeddedPostgres, dataDir: string) {
    this.#server = server;
    this.#dataDir = dataDir;
  }

  static async start(dataDir: string): Promise<PostgresServer> {
    const server = new PostgresServer(await startEmbeddedPostgres({ dataDir, fsync: true }), dataDir);
    // A deadlock is a finding: it must be told before the gateways' own limit on locks ends it.
    await server.query(`ALTER SYSTEM SET deadlock_timeout = '60ms'`);
    await server.query('SELECT pg_reload_conf()');
    return server;
  }

  get url(): string {
    return this.#server.url;
  }

  async query<Row extends pg.QueryResultRow>(sql: string): Promise<Row[]> {
    const client = new pg.Client({ connectionString: this.url, connectionTimeoutMillis: 5_000 });
    client.on('error', () => undefined);
    await client.connect();
    try {
      return (await client.query<Row>(sql)).rows;
    } finally {
      await client.end();
    }
  }

  /** Every process of it at once: nothing is flushed, nobody says goodbye. */
  async kill(): Promise<void> {
    const pids = await this.#processes();
    if (pids.length === 0) return;
    this.kills += 1;
    this.#frozen = [];
    for (const pid of pids) signal(pid, 'SIGKILL');
  }

  async freeze(): Promise<void> {
    if (this.#frozen.length > 0) return;
    const pids = await this.#processes();
    if (pids.length === 0) return;
    this.freezes += 1;
    this.#frozen = pids;
    for (const pid of pids) signal(pid, 'SIGSTOP');
  }

  thaw(): void {
    for (const pid of this.#frozen.reverse()) signal(pid, 'SIGCONT');
    this.#frozen = [];
  }

  async ready(): Promise<void> {
    this.thaw();
    await eventually(
      'postgres answers',
      async () => (await this.query('SELECT 1')).length === 1,
      // Recovery takes long on a busy disk.
      660_000,
      200,
    );
  }

  /** How often the server broke a deadlock, over all its lives. */
  async deadlocks(): Promise<number> {
    const log = await readFile(join(this.#dataDir, 'postgres.log'), 'utf8');
    return log.split('deadlock detected').length - 1;
  }

  async stop(): Promise<void> {
    this.thaw();
    await this.#server.stop();
  }

  /** Postmaster first, so that it starts nobody else. */
  async #processes(): Promise<number[]> {
    const postmaster = await readPostmasterFile(join(this.#dataDir, 'postgres'));
    if (!postmaster || !(await parentOf(postmaster.pid))) return [];
    const pids = (await readdir('/proc')).map(Number).filter((pid) => pid > 0);
    const parents = await Promise.all(pids.map(parentOf));
    return [postmaster.pid, ...pids.filter((_, index) => parents[index] === postmaster.pid)];
  }
}

/** In memory, empty after each kill. */
export class RedisServer {
  kills = 0;
  freezes = 0;
  readonly port: number;
  readonly #runDirectory: string;
  #child: ChildProcess | undefined;

  private constructor(port: number, runDirectory: string) {
    this.port = port;
    this.#runDirectory = runDirectory;
  }

  static async start(runDirectory: string): Promise<RedisServer> {
    const redis = new RedisServer(await freePort(), runDirectory);
    await redis.ready();
    return redis;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  kill(): void {
    this.kills += 1;
    this.#child?.kill('SIGKILL');
  }

  freeze(): void {
    this.freezes += 1;
    this.#child?.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child?.kill('SIGCONT');
  }

  async ready(): Promise<void> {
    this.thaw();
    if (!this.#child || this.#child.exitCode !== null || this.#child.signalCode !== null) this.#launch();
    await eventually('redis answers', () => this.#answers(), 15_000);
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  #launch(): void {
    const settings = ['--port', String(this.port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
    this.#child = spawn('redis-server', settings, { stdio: 'ignore', cwd: this.#runDirectory });
    this.#child.on('error', () => undefined);
    void noteProcess(this.#runDirectory, this.#child).catch(() => undefined);
  }

  #answers(): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = connect(this.port, '127.0.0.1', () => socket.write('PING\r\n'));
      socket.setTimeout(500, () => socket.destroy());
      socket.on('data', () => (resolve(true), socket.destroy()));
      socket.on('error', () => resolve(false));
      socket.on('close', () => resolve(false));
    });
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // gone already
  }
}

/** `undefined` for a process that is gone. */
async function parentOf(pid: number): Promise<number | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The name stands in brackets and may hold blanks; state and parent follow it.
  const parent = text.slice(text.lastIndexOf(')') + 2).split(' ')[1];
  return parent === undefined ? undefined : Number(parent);
}
