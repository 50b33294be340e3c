import { mkdir, mkdtemp, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '@app/testing';
import { inject } from 'vitest';
import { findProgram, run, requireProgram } from './programs.js';

const PASSWORD = 'p/w %1';

/**
 * A PostgreSQL server of the same version as the pg_dump on PATH, for the backup scripts: the embedded one may be newer than
 * what the machine's pg_dump can read.
 */
export class DebianPostgres implements AsyncDisposable {
  private constructor(
    readonly port: number,
    private readonly binaries: string,
    private readonly data: string,
  ) {}

  static async start(): Promise<DebianPostgres> {
    requireProgram('pg_dump', 'postgresql-client');
    const binaries = await findBinaries();
    const home = await mkdtemp(join(inject('runDirectory'), 'debian-postgres-'));
    const data = join(home, 'data');
    await mkdir(data);
    if (isRoot()) await run('chown', ['-R', 'nobody', home]);
    const server = new DebianPostgres(await freePort(), binaries, data);
    await server.#as('initdb', ['-D', data, '-U', 'postgres', '-A', 'trust', '--no-sync']);
    const settings = `-p ${server.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off`;
    await server.#as('pg_ctl', ['-D', data, '-w', '-l', join(home, 'log'), '-o', settings, 'start']);
    await server.sql(`CREATE ROLE gateway SUPERUSER LOGIN PASSWORD '${PASSWORD}'`);
    return server;
  }

  /** With a password that must be encoded. */
  url(database: string): string {
    return `postgres://gateway:${encodeURIComponent(PASSWORD)}@127.0.0.1:${this.port}/${database}`;
  }

  async sql(statement: string, database = 'postgres'): Promise<string> {
    const address = `postgres://postgres@127.0.0.1:${this.port}/${database}`;
    const { code, stdout, stderr } = await run('psql', [
      '-XAt',
      '-v',
      'ON_ERROR_STOP=1',
      '-d',
      address,
      '-c',
      statement,
    ]);
    if (code !== 0) throw new Error(stderr);
    return stdout.trim();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#as('pg_ctl', ['-D', this.data, '-w', '-m', 'immediate', 'stop']).catch(() => undefined);
  }

  /** The server refuses to be root. */
  async #as(program: string, args: readonly string[]): Promise<void> {
    const command = [join(this.binaries, program), ...args];
    const whole = isRoot() ? ['setpriv', '--reuid=nobody', '--clear-groups', ...command] : command;
    const { code, stderr } = await run(whole[0] ?? '', whole.slice(1), { cwd: '/' });
    if (code !== 0) throw new Error(`${program} failed: ${stderr}`);
  }
}

function isRoot(): boolean {
  return process.getuid?.() === 0;
}

async function findBinaries(): Promise<string> {
  const onPath = findProgram('initdb');
  if (onPath !== undefined) return join(onPath, '..');
  const root = '/usr/lib/postgresql';
  const versions = (await readdir(root).catch(() => [])).toSorted(
    (left, right) => Number(right) - Number(left),
  );
  for (const version of versions) {
    const folder = join(root, version, 'bin');
    if ((await readdir(folder)).includes('initdb')) return folder;
  }
  throw new Error('This test needs a PostgreSQL server: apt-get install postgresql');
}
