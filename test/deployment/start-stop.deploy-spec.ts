import { randomInt } from 'node:crypto';
import { mkdtemp, readdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createDatabase, mintToken, TEST_JWT_SECRET, type TestDatabase } from '@app/testing';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { runScript } from './programs.js';

let database: TestDatabase;
let runDirectory: string;
let first: number;
let environment: Record<string, string | undefined>;

beforeAll(async () => {
  database = await createDatabase();
  runDirectory = await mkdtemp(join(inject('runDirectory'), 'start-'));
  first = await threeFreePorts();
  environment = {
    ...process.env,
    ENVIRONMENT: 'production',
    HOST: '127.0.0.1',
    JWT_SECRET_KEY: TEST_JWT_SECRET,
    DATABASE_URL: database.url,
    DATA_DIR: join(runDirectory, 'data'),
    RATE_LIMIT_STORAGE: 'memory',
  };
});

afterAll(async () => {
  await stop();
  await database?.drop();
});

const start = (...args: string[]) =>
  runScript(
    'start.sh',
    ['local', '--instances', '3', '--first-port', String(first), '--run-dir', runDirectory, ...args],
    {
      env: environment,
      timeout: 110_000,
    },
  );
const stop = (...args: string[]) => runScript('stop.sh', ['local', '--run-dir', runDirectory, ...args]);
const pids = async () =>
  Promise.all((await pidFiles()).map((name) => readFile(join(runDirectory, name), 'utf8')));
const pidFiles = async () => (await readdir(runDirectory)).filter((name) => name.endsWith('.pid')).toSorted();

/** Three in a row, below the range from which the system gives ports to whoever asks for any. */
async function threeFreePorts(): Promise<number> {
  for (let attempt = 0; attempt < 50; attempt++) {
    const port = randomInt(20_000, 30_000);
    if ((await Promise.all([0, 1, 2].map((index) => isFree(port + index)))).every(Boolean)) return port;
  }
  throw new Error('no three free ports in a row');
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.on('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

async function statuses(path: string): Promise<number[]> {
  const headers = { authorization: `Bearer ${mintToken({ sub: 'alice' })}` };
  const answers = [0, 1, 2].map((index) => fetch(`http://127.0.0.1:${first + index}${path}`, { headers }));
  return Promise.all(answers.map(async (answer) => (await answer).status));
}

it('starts three, on one data folder, and leaves them alone the second time', async () => {
  const { code, stdout, stderr } = await start();
  expect(stderr).toBe('');
  expect(code).toBe(0);
  expect(stdout.match(/is ready/g)).toHaveLength(3);
  expect(await statuses('/billing/balance')).toEqual([200, 200, 200]);
  const before = await pids();
  const again = await start();
  expect(again.stdout.match(/is already running/g)).toHaveLength(3);
  expect(await pids()).toEqual(before);
}, 120_000);

it('restarts one after another, so that two always serve', async () => {
  const before = await pids();
  const fewest = watchReady();
  const { code } = await start('--rolling');
  expect(code).toBe(0);
  expect(await fewest.stop()).toBeGreaterThanOrEqual(2);
  const after = await pids();
  expect(after).toHaveLength(3);
  for (const pid of after) expect(before).not.toContain(pid);
}, 120_000);

it('stops one, then all, and a second stop has nothing to do', async () => {
  expect((await stop('--port', String(first))).stdout).toMatch(/exited/);
  expect(await pidFiles()).toHaveLength(2);
  const { code, stdout } = await stop();
  expect(code).toBe(0);
  expect(stdout.match(/exited/g)).toHaveLength(2);
  expect(await pidFiles()).toEqual([]);
  expect(await stop()).toMatchObject({ code: 0, stdout: '' });
});

it('starts nothing on a faulty environment', async () => {
  environment['RETRY_MAX_ATTEMPTS'] = 'many';
  const { code, stderr, stdout } = await start();
  expect(code).toBe(2);
  expect(stdout + stderr).toContain('RETRY_MAX_ATTEMPTS');
  expect(await pidFiles()).toEqual([]);
});

/** The fewest instances that were ready at any one look. */
function watchReady() {
  let fewest = 3;
  let watching = true;
  const look = async () => {
    while (watching) {
      const ready = await Promise.all(
        [0, 1, 2].map((index) =>
          fetch(`http://127.0.0.1:${first + index}/ready`).then(
            (answer) => answer.ok,
            () => false,
          ),
        ),
      );
      fewest = Math.min(fewest, ready.filter(Boolean).length);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  };
  const looking = look();
  return {
    async stop(): Promise<number> {
      watching = false;
      await looking;
      return fewest;
    },
  };
}
