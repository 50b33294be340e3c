import { once } from 'node:events';
import { mkdtemp, readFile } from 'node:fs/promises';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  createDatabase,
  eventually,
  freePort,
  listensForSignals,
  TEST_JWT_SECRET,
  type TestDatabase,
} from '@app/testing';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { Background, PROJECT, requireProgram } from './programs.js';

const MOMENTS_MS = [200, 500, 1_000, 2_000];

/**
 * The gateway as process 1 of a namespace of its own, as it is in a container without `init`. To process 1 the kernel
 * delivers no signal but those it listens for.
 */
describe('as process 1 a SIGTERM', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createDatabase();
  });
  afterAll(() => database?.drop());

  it.each(MOMENTS_MS)('%d ms after the start ends it, with a database elsewhere', async (delayMs) => {
    await expectEnd(delayMs, { DATABASE_URL: database.url });
  });

  it.each(MOMENTS_MS)('%d ms after the start ends it, with the embedded database', async (delayMs) => {
    await expectEnd(delayMs, {});
  });

  it('2000 ms after the start ends it, with two workers', async () => {
    await expectEnd(2_000, { DATABASE_URL: database.url, WORKERS: '2' });
  });

  it('ends a command in the middle of its work', async () => {
    const silent = createServer().listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo;
    const command = ['dist/src/cli.js', 'check:deployment', '--url', `http://127.0.0.1:${port}`];
    await using namespace = asProcess1(command, { JWT_SECRET_KEY: TEST_JWT_SECRET }, PROJECT);
    const [socket] = (await once(silent, 'connection')) as [Socket];
    process.kill(await processOne(namespace), 'SIGTERM');
    await eventually('it ends', () => namespace.hasEnded);
    expect(namespace.exitCode).toBe(143);
    socket.destroy();
    silent.close();
  });
});

function asProcess1(args: readonly string[], env: Record<string, string>, cwd: string): Background {
  const unshare = ['--pid', '--fork', '--kill-child', '--mount-proc', '--', process.execPath, ...args];
  return new Background(
    requireProgram('unshare', 'util-linux'),
    process.getuid?.() === 0 ? unshare : ['--map-root-user', ...unshare],
    { cwd, env: { PATH: process.env['PATH'], ...env } },
  );
}

/** Its number out here. */
async function processOne(namespace: Background): Promise<number> {
  const pid = await eventually('process 1 is there', () => childOf(namespace.pid), 5_000, 5);
  expect(await readFile(`/proc/${pid}/status`, 'utf8')).toMatch(/^NSpid:\s+\d+\s+1$/m);
  return pid;
}

async function expectEnd(delayMs: number, env: Record<string, string>): Promise<void> {
  const dataDir = await mkdtemp(join(inject('runDirectory'), 'process-1-'));
  const program = join(PROJECT, 'dist/src/main.js');
  await using namespace = asProcess1(
    [program],
    {
      ENVIRONMENT: 'test',
      HOST: '127.0.0.1',
      PORT: String(await freePort()),
      DATA_DIR: dataDir,
      JWT_SECRET_KEY: TEST_JWT_SECRET,
      RATE_LIMIT_STORAGE: 'memory',
      ...env,
    },
    dataDir,
  );
  const startedMs = performance.now();
  const gateway = await processOne(namespace);
  await listensForSignals(gateway);
  const listensMs = performance.now() - startedMs;
  await sleep(Math.max(0, delayMs - (performance.now() - startedMs)));
  process.kill(gateway, 'SIGTERM');
  const sentMs = performance.now();
  await eventually('it ends', () => namespace.hasEnded, 40_000, 10);
  const tookMs = performance.now() - sentMs;
  console.log(
    `listened after ${listensMs.toFixed(0)} ms; SIGTERM ${delayMs} ms after the start: ended ${tookMs.toFixed(0)} ms later`,
  );
  expect(namespace.exitCode, namespace.output).toBe(0);
}

/** The only child of `unshare`: what it made process 1. */
async function childOf(pid: number | undefined): Promise<number | false> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return children.trim() !== '' && Number(children.trim());
}
