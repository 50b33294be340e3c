import { execFile, fork, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { eventually, runSql } from '@app/testing';
import { Client } from 'pg';
import { afterEach, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import {
  type EmbeddedPostgres,
  type EmbeddedPostgresOptions,
  startEmbeddedPostgres,
} from '../../src/database/embedded-postgres.js';
import { readPostmasterFile } from '../../src/database/embedded/postmaster.js';
import { isRunning } from '../../src/database/embedded/process-identity.js';

let dataDir: string;
/** A folder in which a first start was, long ago. */
let usedDir: string;
const open: EmbeddedPostgres[] = [];
beforeAll(async () => {
  usedDir = await mkdtemp(join(inject('runDirectory'), 'embedded-'));
  await (await startEmbeddedPostgres({ dataDir: usedDir, fsync: false })).stop();
});
beforeEach(async () => {
  dataDir = await mkdtemp(join(inject('runDirectory'), 'embedded-'));
});
afterEach(async () => {
  for (const server of open.splice(0)) await server.stop();
});

async function start(
  dir = dataDir,
  options: Partial<EmbeddedPostgresOptions> = {},
): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({ dataDir: dir, fsync: false, ...options });
  open.push(server);
  return server;
}

/** For a test of a later start: a first one costs two seconds. */
const copyUsedFolder = (): Promise<unknown> =>
  promisify(execFile)('cp', ['-a', join(usedDir, 'postgres'), dataDir]);

/** Another process that uses the same folder, and can be killed. */
async function startElsewhere(
  ...options: 'fsync'[]
): Promise<{ child: ChildProcess; url: string; attached: boolean }> {
  const child = forkUser(...options);
  const [message] = (await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(([code]) => Promise.reject(new Error(`it ended with ${code}`))),
  ])) as [{ url: string; attached: boolean }];
  return { child, ...message };
}

function forkUser(...options: 'fsync'[]): ChildProcess {
  const program = new URL('./embedded-postgres-user.ts', import.meta.url);
  return fork(program, [dataDir, ...options], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) throw new Error(`it ended by itself, with ${child.exitCode}`);
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

async function end(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit');
  child.send('stop');
  await ended;
}

/** Of the ports that go to outgoing connections. */
async function lowestGivenAway(): Promise<number> {
  const range = await readFile('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').catch(() => '32768');
  return Number.parseInt(range, 10);
}

async function postmasterPid(dir = dataDir): Promise<number> {
  const found = await readPostmasterFile(join(dir, 'postgres'));
  if (!found) throw new Error('no postmaster.pid');
  return found.pid;
}

const clusterDir = (): string => join(dataDir, 'postgres');

describe('start and stop', () => {
  it('serves PostgreSQL 18 in UTF-8 on the loopback interface, with a password', async () => {
    const server = await start();
    const [settings] = await runSql<Record<string, string>>(
      server.url,
      `SELECT current_setting('server_version') AS version, current_setting('server_encoding') AS encoding,
              current_setting('listen_addresses') AS addresses, current_setting('unix_socket_directories') AS sockets`,
    );
    expect(settings).toMatchObject({ encoding: 'UTF8', addresses: '127.0.0.1', sockets: '' });
    expect(settings?.['version']).toMatch(/^18\./);
    const wrong = new URL(server.url);
    wrong.password = 'wrong';
    await expect(runSql(wrong.toString(), 'SELECT 1')).rejects.toThrow('password authentication failed');
  });

  it('keeps the data over a stop, and leaves no process behind', async () => {
    const first = await start();
    await runSql(first.url, 'CREATE TABLE kept AS SELECT 42 AS answer');
    const pid = await postmasterPid();
    await first.stop();
    expect(await isRunning(pid)).toBe(false);
    const second = await start();
    expect(await runSql(second.url, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
    expect(second.attached).toBe(false);
  });

  it('says what is wrong with a folder of another version', async () => {
    await copyUsedFolder();
    await writeFile(join(clusterDir(), 'PG_VERSION'), '15\n');
    await expect(start()).rejects.toThrow('was created by PostgreSQL 15');
  });
});

describe('several gateways on one folder', () => {
  it('attach to the first, and the last one stops the server', async () => {
    await copyUsedFolder();
    const first = await start();
    const second = await startElsewhere();
    expect(second).toMatchObject({ attached: true, url: first.url });
    const pid = await postmasterPid();
    await first.stop();
    expect(await runSql(second.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await end(second.child);
    expect(await isRunning(pid)).toBe(false);
  });

  it('starting at once on an empty folder make one server', async () => {
    const [here, there] = await Promise.all([start(), startElsewhere()]);
    expect(there.url).toBe(here.url);
    expect([here.attached, there.attached].filter(Boolean)).toHaveLength(1);
    await end(there.child);
  });
});

describe('after kill -9 of the gateway', () => {
  beforeEach(copyUsedFolder);

  it('takes over the living server and stops it in the end', async () => {
    const killed = await startElsewhere();
    await runSql(killed.url, 'CREATE TABLE kept AS SELECT 1 AS one');
    await kill(killed.child);
    const pid = await postmasterPid();
    const next = await start();
    expect(next).toMatchObject({ attached: true, url: killed.url });
    expect(await runSql(next.url, 'SELECT one FROM kept')).toEqual([{ one: 1 }]);
    await next.stop();
    expect(await isRunning(pid)).toBe(false);
  });

  it('and of the server too, it recovers', async () => {
    const killed = await startElsewhere('fsync');
    await runSql(killed.url, 'CREATE TABLE kept AS SELECT 1 AS one');
    await kill(killed.child);
    process.kill(await postmasterPid(), 'SIGKILL');
    const next = await start();
    expect(next.attached).toBe(false);
    expect(await runSql(next.url, 'SELECT one FROM kept')).toEqual([{ one: 1 }]);
  });

  it('starts over a pid file whose number is another process’s now', async () => {
    const other = spawn('sleep', ['60'], { uid: (await stat(clusterDir())).uid });
    const stale = [other.pid, clusterDir(), '1700000000', '5432', '', '127.0.0.1', '', 'ready', ''].join(
      '\n',
    );
    await writeFile(join(clusterDir(), 'postmaster.pid'), stale, { mode: 0o644 });
    const next = await start();
    expect(await runSql(next.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    expect(other.exitCode).toBeNull();
    other.kill();
  });

  it('starts over the lock of a dead process', async () => {
    const { child } = await startElsewhere();
    await kill(child);
    await writeFile(join(dataDir, 'postgres.lock'), `${child.pid}-1`);
    const startMs = performance.now();
    await start();
    expect(performance.now() - startMs).toBeLessThan(5_000);
  });
});

describe('after kill -9 of the gateway in its first start', () => {
  it('starts over an initdb that was killed half-way, and sweeps it away', async () => {
    const unfinished = join(dataDir, 'postgres.init-0123456789ab');
    await mkdir(join(unfinished, 'base'), { recursive: true });
    await writeFile(join(unfinished, 'PG_VERSION'), '18\n');
    await start();
    expect((await readdir(dataDir)).filter((name) => name.includes('.init-'))).toEqual([]);
  });

  it('at any moment of the first start, the next one comes up', async () => {
    // Of this test alone: when its time is up it goes on beside the next one.
    const ownFolder = dataDir;
    for (const delayMs of [5, 40, 120, 250, 400, 600]) {
      const child = forkUser();
      await once(child, 'spawn');
      await new Promise((resolve) => setTimeout(resolve, 250 + delayMs));
      await kill(child);
      const server = await startEmbeddedPostgres({ dataDir: ownFolder, fsync: false });
      expect(await runSql(server.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
      await server.stop();
      await rm(ownFolder, { recursive: true, force: true });
    }
  }, 150_000);
});

describe('a server that dies under a living gateway', () => {
  beforeEach(copyUsedFolder);

  it('is started again on the same port', async () => {
    const server = await start();
    const before = await postmasterPid();
    process.kill(before, 'SIGKILL');
    await eventually('the server is back', async () => {
      const rows = await runSql(server.url, 'SELECT 1 AS one');
      return rows.length === 1 && (await postmasterPid()) !== before;
    });
  });

  it('whatever other programs connect to meanwhile: no system gives that port away', async () => {
    const { url } = await start();
    expect(Number(new URL(url).port)).toBeLessThan(await lowestGivenAway());
  });

  it('and one whose connections are all taken is left to those who have them', async () => {
    const full = await startElsewhere();
    const pid = await postmasterPid();
    const clients = Array.from({ length: 200 }, () => new Client(full.url));
    await Promise.all(clients.map((client) => client.connect()));
    expect((await start()).attached).toBe(true);
    expect(await postmasterPid()).toBe(pid);
    await Promise.all(clients.map((client) => client.end()));
    await kill(full.child);
  }, 40_000);

  it('and one that hangs is replaced at the next start', async () => {
    const hung = await startElsewhere();
    const pid = await postmasterPid();
    await kill(hung.child);
    process.kill(pid, 'SIGSTOP');
    const next = await start();
    expect(next.attached).toBe(false);
    expect(await runSql(next.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  }, 40_000);
});

describe('a server whose recovery takes long', () => {
  const told: string[] = [];
  const heldFile = (): string => join(clusterDir(), 'held');
  const recovering = (): Promise<boolean> =>
    eventually('it says so', () => told.some((line) => line.includes('recovering')));

  /** Its recovery asks a command for more of the log, which does not end before `goOn`: connections get SQLSTATE 57P03. */
  async function holdRecovery(): Promise<void> {
    await writeFile(join(clusterDir(), 'recovery.signal'), '');
    const command = `restore_command = 'while [ -e held ]; do sleep 0.1; done; false'`;
    await appendFile(join(clusterDir(), 'postgresql.auto.conf'), `hot_standby = off\n${command}\n`);
    await writeFile(heldFile(), '');
  }
  const goOn = (): Promise<void> => rm(heldFile(), { force: true });
  const startHeld = (patience: EmbeddedPostgresOptions['patience']): Promise<EmbeddedPostgres> =>
    start(dataDir, { log: (line) => told.push(line), patience });

  beforeEach(async () => {
    told.length = 0;
    await copyUsedFolder();
  });
  afterEach(goOn);

  it('is waited for, longer than a silent one, and told of once', async () => {
    await holdRecovery();
    const starting = startHeld({ silenceMs: 500 });
    await recovering();
    const pid = await postmasterPid();
    await sleep(2_500);
    await goOn();
    const server = await starting;
    expect(await runSql(server.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    expect(await postmasterPid()).toBe(pid);
    expect(told.filter((line) => line.includes('recovering'))).toHaveLength(1);
  });

  it('is waited for, too, when it is a killed gateway’s', async () => {
    await holdRecovery();
    const killed = forkUser();
    const pid = await eventually('it is there', () => postmasterPid());
    await kill(killed);
    const starting = startHeld({ silenceMs: 500 });
    await recovering();
    await sleep(2_500);
    await goOn();
    expect((await starting).attached).toBe(true);
    expect(await postmasterPid()).toBe(pid);
  });

  it('is stopped by who gives up on it', async () => {
    await holdRecovery();
    const refused = expect(startHeld({ silenceMs: 500 })).rejects.toThrow('did not start');
    await recovering();
    const pid = await postmasterPid();
    process.kill(pid, 'SIGSTOP');
    await refused;
    expect(await isRunning(pid)).toBe(false);
  });

  it('is given up on at once when it ends, with its last words', async () => {
    await holdRecovery();
    const refused = expect(startHeld({})).rejects.toThrow('startup process');
    await recovering();
    const { stdout } = await promisify(execFile)('ps', ['-A', '-o', 'pid=,ppid=,args=']);
    const startup = new RegExp(`^ *(\\d+) +${await postmasterPid()} .*startup`, 'm').exec(stdout);
    process.kill(Number(startup?.[1]), 'SIGKILL');
    const endedMs = performance.now();
    await refused;
    expect(performance.now() - endedMs).toBeLessThan(3_000);
  });

  it('does not hold up the stop of a gateway under which it died', async () => {
    const server = await startHeld({});
    await holdRecovery();
    process.kill(await postmasterPid(), 'SIGKILL');
    await recovering();
    const pid = await postmasterPid();
    const startMs = performance.now();
    await server.stop();
    expect(performance.now() - startMs).toBeLessThan(5_000);
    expect(await isRunning(pid)).toBe(false);
  });
});

describe.runIf(process.getuid?.() === 0)('as root', () => {
  it('runs as nobody, also below a folder that nobody may not enter', async () => {
    const closed = join(dataDir, 'closed');
    await mkdir(closed, { mode: 0o700 });
    const server = await start(join(closed, 'data'));
    expect(await runSql(server.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    const status = await readFile(`/proc/${await postmasterPid(join(closed, 'data'))}/status`, 'utf8');
    expect(/^Uid:\t(\d+)/m.exec(status)?.[1]).not.toBe('0');
  });
});
