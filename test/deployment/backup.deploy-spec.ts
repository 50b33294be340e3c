import { chmod, mkdtemp, readdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Gateway, startGateway, TEST_JWT_SECRET } from '@app/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { DebianPostgres } from './debian-postgres.js';
import { PROJECT, run, runScript } from './programs.js';

const CHARGES = 25;

let server: DebianPostgres;
let gateway: Gateway;
let directory: string;
let environment: Record<string, string | undefined>;

beforeAll(async () => {
  server = await DebianPostgres.start();
  await server.sql('CREATE DATABASE gateway');
  environment = { ...process.env, DATABASE_URL: server.url('gateway'), JWT_SECRET_KEY: TEST_JWT_SECRET };
  gateway = await startGateway({
    env: { DATABASE_URL: server.url('gateway'), RATE_LIMIT_REQUESTS_PER_MINUTE: '0' },
  });
  for (let index = 0; index < CHARGES; index++) {
    const answer = await gateway.complete(
      { model: 'echo', messages: [{ role: 'user', content: `hello ${index}` }] },
      `user${index % 3}`,
    );
    expect(answer.status).toBe(200);
    await answer.body?.cancel();
  }
  // More than a pipe holds: whoever reads only the beginning of a backup is found out.
  await server.sql(
    'CREATE TABLE ballast AS SELECT md5(n::text) || md5((n + 1)::text) AS text FROM generate_series(1, 40000) AS n',
    'gateway',
  );
});

afterAll(async () => {
  await gateway?.stop();
  await server?.[Symbol.asyncDispose]();
});

beforeEach(async () => {
  directory = await mkdtemp(join(inject('runDirectory'), 'backups-'));
});

const backUp = (...args: string[]) =>
  runScript('backup.sh', ['--dir', directory, ...args], { env: environment });
const restore = (...args: string[]) => runScript('restore.sh', args, { env: environment });
const backups = async () =>
  (await readdir(directory)).filter((name) => /\.dump(\.gpg)?$/.test(name)).toSorted();
const charges = (database = 'gateway') =>
  server.sql("SELECT count(*) FROM ledger WHERE kind = 'charge'", database);

async function passphraseFile(text: string): Promise<string> {
  const path = join(directory, 'passphrase');
  await writeFile(path, text);
  await chmod(path, 0o600);
  return path;
}

describe('a backup', () => {
  it('is one file that can be read back, with its checksum, for its owner only', async () => {
    const { code, stdout } = await backUp();
    expect(code).toBe(0);
    expect(stdout).toMatch(/wrote .*llm-gateway-\d{8}T\d{6}Z\.dump/);
    const [name = ''] = await backups();
    expect(await readFile(join(directory, `${name}.sha256`), 'utf8')).toMatch(
      new RegExp(`^[0-9a-f]{64}  ${name}\n$`),
    );
    const { stdout: mode } = await run('stat', ['-c', '%a', join(directory, name)]);
    expect(mode.trim()).toBe('600');
    expect((await readdir(directory)).filter((entry) => entry.endsWith('.partial'))).toEqual([]);
  });

  it('clears old ones away, but never the newest three', async () => {
    const old = [
      '20200101T000000Z',
      '20200102T000000Z',
      '20200103T000000Z',
      '20200104T000000Z',
      '20200105T000000Z',
    ];
    for (const stamp of old) {
      const path = join(directory, `llm-gateway-${stamp}.dump`);
      await writeFile(path, 'old');
      await utimes(path, new Date('2020-01-05'), new Date('2020-01-05'));
    }
    expect((await backUp('--keep-days', '7')).code).toBe(0);
    const left = await backups();
    expect(left).toHaveLength(3);
    expect(left.slice(0, 2)).toEqual([
      'llm-gateway-20200104T000000Z.dump',
      'llm-gateway-20200105T000000Z.dump',
    ]);
  });

  it('is not begun beside another', async () => {
    const path = join(directory, '.lock');
    await writeFile(path, '');
    const { code } = await run(
      'flock',
      [path, 'bash', '-c', '"$0" "$@"', join(PROJECT, 'deployments/backup.sh'), '--dir', directory],
      {
        env: environment,
      },
    );
    expect(code).toBe(3);
  });

  it('says so when the database is away, and leaves nothing behind', async () => {
    const { code, stderr } = await runScript('backup.sh', ['--dir', directory], {
      env: { ...environment, DATABASE_URL: 'postgres://gateway:topsecret@127.0.0.1:1/gateway' },
    });
    expect(code).toBe(1);
    expect(stderr).not.toContain('topsecret');
    expect(await backups()).toEqual([]);
  });

  it('refuses a server that is newer than pg_dump', async () => {
    const { stdout } = await run('pg_dump', ['--version']);
    const client = Number(/\d+/.exec(stdout)?.[0]);
    const outcome = await runScript('backup.sh', ['--dir', directory], {
      env: { ...environment, DATABASE_URL: inject('postgresUrl') },
    });
    expect(outcome.code).toBe(client < 18 ? 4 : 0);
  });

  it('tells of a failure, and clears nothing away for it, also when it goes on for ever', async () => {
    const programs = await mkdtemp(join(inject('runDirectory'), 'programs-'));
    const path = join(programs, 'mv');
    await writeFile(path, '#!/bin/sh\nexit 1\n');
    await chmod(path, 0o755);
    const { stdout, stderr } = await runScript('backup.sh', ['--dir', directory, '--every', '60'], {
      env: { ...environment, PATH: `${programs}:${process.env['PATH']}` },
      timeout: 8_000,
    });
    expect(stderr).toContain('failed (code 1); next attempt in 60 s');
    expect(stdout).not.toContain('wrote');
    expect(await readdir(directory)).toEqual(['.lock']);
  });

  it.each([[['--keep-days', 'x']], [['--passphrase-file', '/nonexistent']]])(
    'with %j is a wrong use',
    async (args) => {
      expect((await backUp(...args)).code).toBe(2);
    },
  );
});

describe('a restore', () => {
  it('brings everything back after the database was lost, and the books balance', async () => {
    expect((await backUp()).code).toBe(0);
    expect((await restore('--latest', directory, '--yes')).code).toBe(3); // the gateway is connected
    await gateway.stop();
    await server.sql('DROP DATABASE gateway');
    const { code, stdout } = await restore('--latest', directory, '--yes');
    expect(stdout).toContain('the books balance');
    expect(code).toBe(0);
    expect(await charges()).toBe(String(CHARGES));
    await gateway.start();
    expect((await gateway.fetch('/billing/balance', { as: 'user0' })).status).toBe(200);
    await gateway.stop();
  });

  it('puts a present database aside, only when told to', async () => {
    expect((await backUp()).code).toBe(0);
    expect((await restore('--latest', directory, '--yes')).code).toBe(2);
    // as a superuser with the table's own guards off: the worst that can happen to it
    await server.sql('SET session_replication_role = replica; DELETE FROM ledger', 'gateway');
    const dry = await restore('--latest', directory, '--replace', '--dry-run');
    expect(dry.stdout).toContain('nothing was changed');
    expect(await charges()).toBe('0');
    expect((await restore('--latest', directory, '--replace', '--yes')).code).toBe(0);
    expect(await charges()).toBe(String(CHARGES));
    const aside = await server.sql("SELECT datname FROM pg_database WHERE datname LIKE 'gateway_before_%'");
    expect(await charges(aside)).toBe('0');
  });

  it('reads an encrypted backup with its passphrase, and with no other', async () => {
    const path = await passphraseFile('correct horse battery staple');
    expect((await backUp('--passphrase-file', path)).code).toBe(0);
    const [name = ''] = await backups();
    expect(name).toMatch(/\.dump\.gpg$/);
    expect((await readFile(join(directory, name))).includes('PGDMP')).toBe(false);
    const wrong = join(directory, 'wrong');
    await writeFile(wrong, 'something else');
    expect(
      (await restore(join(directory, name), '--replace', '--yes', '--passphrase-file', wrong)).code,
    ).toBe(1);
    expect(await charges()).toBe(String(CHARGES));
    expect((await restore(join(directory, name), '--replace', '--yes', '--passphrase-file', path)).code).toBe(
      0,
    );
    expect(await charges()).toBe(String(CHARGES));
  });

  it('refuses a damaged file before it touches anything', async () => {
    expect((await backUp()).code).toBe(0);
    const [name = ''] = await backups();
    const bytes = await readFile(join(directory, name));
    bytes[bytes.length - 100] = (bytes[bytes.length - 100] ?? 0) ^ 0xff;
    await writeFile(join(directory, name), bytes);
    const { code, stderr } = await restore(join(directory, name), '--replace', '--yes');
    expect(code).toBe(1);
    expect(stderr).toContain('damaged');
    expect(await charges()).toBe(String(CHARGES));
  });
});
