import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { createDatabase, type Gateway, startGateway, type TestDatabase } from '@app/testing';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';

const CLI = fileURLToPath(new URL('../../dist/src/cli.js', import.meta.url));
const LAUNCHER = fileURLToPath(new URL('../../src/cli/launch.mjs', import.meta.url));
const run = promisify(execFile);

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

describe('the command line', () => {
  let database: TestDatabase;
  let gateway: Gateway;
  let env: Record<string, string>;
  beforeAll(async () => {
    database = await createDatabase();
    gateway = await startGateway({ env: { DATABASE_URL: database.url, JWT_SECRET_KEY: undefined } });
    env = {
      PATH: process.env['PATH'] ?? '',
      NODE_COMPILE_CACHE: join(inject('runDirectory'), 'compile-cache'),
      DATA_DIR: gateway.dataDir,
      DATABASE_URL: database.url,
    };
  });
  afterAll(async () => {
    await gateway.stop();
    await database.drop();
  });

  async function cli(
    args: string[],
    more: Record<string, string | undefined> = {},
    program = CLI,
  ): Promise<Ended> {
    const cwd = await mkdtemp(join(inject('runDirectory'), 'cli-'));
    const environment = Object.fromEntries(
      Object.entries({ ...env, ...more }).filter(
        (entry): entry is [string, string] => entry[1] !== undefined,
      ),
    );
    try {
      return { code: 0, ...(await run(process.execPath, [program, ...args], { cwd, env: environment })) };
    } catch (error) {
      const { code, stdout, stderr } = error as Ended;
      return { code, stdout, stderr };
    }
  }

  it('prints a token that the gateway of the same folder accepts', async () => {
    const { code, stdout, stderr } = await cli(['token', '--user', 'alice']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    const response = await fetch(`${gateway.url}/v1/models`, {
      headers: { authorization: `Bearer ${stdout.trim()}` },
    });
    expect(response.status).toBe(200);
  });

  it('limits a token to its models', async () => {
    const { stdout } = await cli(['token', '--user', 'alice', '--models', 'echo', '--expires-in', '1']);
    const response = await fetch(`${gateway.url}/v1/models`, {
      headers: { authorization: `Bearer ${stdout.trim()}` },
    });
    expect(((await response.json()) as { id: string }[]).map(({ id }) => id)).toEqual(['echo']);
  });

  it('checks the environment', async () => {
    const good = await cli(['check:env'], { OPENAI_API_KEY: 'sk-x', SUPABASE_KEY: 'k' });
    expect(good).toMatchObject({ code: 0, stderr: '' });
    expect(good.stdout).toMatch(/providers: .*openai/);
    expect(good.stdout).toContain('SUPABASE_KEY: is not used');
    const bad = await cli(['check:env'], {
      PORT: 'eighty',
      ENVIRONMENT: 'production',
      REDIS_URL: 'http://x',
    });
    expect(bad).toMatchObject({ code: 1, stdout: '' });
    expect(
      bad.stderr
        .trim()
        .split('\n')
        .map((line) => line.split(':')[0])
        .toSorted(),
    ).toEqual(['JWT_SECRET_KEY', 'PORT', 'REDIS_URL']);
    expect(bad.stderr).not.toContain('eighty');
  });

  it('checks the GATEWAY_CONFIG file, prices included', async () => {
    const path = join(gateway.dataDir, 'bad.yaml');
    await writeFile(
      path,
      'providers: { l: { type: openai-compatible, base_url: "http://h/v1" } }\nmodels: { m: { targets: [{ provider: l, model: x }] } }\n',
    );
    const { code, stderr } = await cli(['check:env'], { GATEWAY_CONFIG: path });
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr:
        'models.m.targets[0]: has no token price; give the target or the model `input_per_million` and `output_per_million` in its `price`\n',
    });
  });

  it('checks and migrates the database', async () => {
    const fresh = await createDatabase({ migrated: false });
    try {
      const url = { DATABASE_URL: fresh.url };
      const before = await cli(['check:db'], { ...url, DATABASE_MIGRATE: 'false' });
      expect(before.code).toBe(1);
      expect(before.stdout).toMatch(/PostgreSQL \d+/);
      expect(await cli(['migration:run'], url)).toMatchObject({
        code: 0,
        stdout: expect.stringContaining('applied: '),
      });
      expect(await cli(['migration:run'], url)).toMatchObject({ code: 0, stdout: 'nothing to apply\n' });
      expect(await cli(['check:db'], { ...url, DATABASE_MIGRATE: 'false' })).toMatchObject({
        code: 0,
        stdout: expect.stringContaining('pending migrations: none'),
      });
    } finally {
      await fresh.drop();
    }
    const away = await cli(['check:db'], { DATABASE_URL: 'postgres://u:hunter2@127.0.0.1:1/x' });
    expect(away.code).toBe(1);
    expect(away.stderr).not.toContain('hunter2');
  });

  it('audits the ledger', async () => {
    expect(await cli(['audit:ledger'])).toMatchObject({ code: 0 });
  });

  it('smoke-tests a running deployment, down to the debit in the ledger', async () => {
    const { code, stdout } = await cli(['check:deployment', '--url', gateway.url]);
    expect(stdout).not.toContain('FAIL');
    expect({ code, last: stdout.trim().split('\n').at(-1) }).toEqual({
      code: 0,
      last: 'the deployment works',
    });
    expect(stdout.match(/debited -\d/g)).toHaveLength(2);
    const wrong = await cli(['check:deployment', '--url', gateway.url, '--token', 'a.b.c']);
    expect(wrong.code).toBe(1);
    expect((await cli(['check:deployment', '--url', 'http://127.0.0.1:1'])).code).toBe(1);
  });

  it('says what is missing on a clone that was not built', async () => {
    const clone = await mkdtemp(join(inject('runDirectory'), 'clone-'));
    await mkdir(join(clone, 'src/cli'), { recursive: true });
    await cp(LAUNCHER, join(clone, 'src/cli/launch.mjs'));
    const { code, stdout, stderr } = await cli(
      ['token', '--user', 'a'],
      {},
      join(clone, 'src/cli/launch.mjs'),
    );
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/not built/);
    expect(await cli(['token', '--user', 'a'], {}, LAUNCHER)).toMatchObject({ code: 0, stderr: '' });
  });
});
