import { chmod, mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createDatabase, eventually, type Gateway, startGateway, type TestDatabase } from '@app/testing';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { DEPLOYMENTS, requireProgram, run } from './programs.js';

let database: TestDatabase;
let gateway: Gateway;
let directory: string;

beforeAll(async () => {
  database = await createDatabase();
  directory = await mkdtemp(join(inject('runDirectory'), 'logs-'));
  await chmod(directory, 0o755);
  gateway = await startGateway({
    env: {
      DATABASE_URL: database.url,
      LOG_FILE: join(directory, 'gateway.log'),
      WORKERS: '2',
      RATE_LIMIT_REQUESTS_PER_MINUTE: '0',
    },
  });
});

afterAll(async () => {
  await gateway?.stop();
  await database?.drop();
});

/** The file as it is installed, but for this test's folder, user and process. */
async function configuration(): Promise<string> {
  const text = await readFile(join(DEPLOYMENTS, 'logrotate.conf'), 'utf8');
  const [first = ''] = text.split('\n# Standard output');
  const changed = first
    .replace('/var/log/llm-gateway/*.log', join(directory, '*.log'))
    .replace(/su llm-gateway llm-gateway/, `su ${process.getuid?.() === 0 ? 'root root' : ''}`)
    .replace(/systemctl kill .*$/m, `kill -USR2 ${gateway.pid}`);
  expect(changed).toContain(`kill -USR2 ${gateway.pid}`);
  const path = join(directory, 'logrotate.conf');
  await writeFile(path, changed);
  await chmod(path, 0o644);
  return path;
}

async function send(count: number): Promise<string[]> {
  const ids = Array.from({ length: count }, (_, index) => `rotated-${Date.now()}-${index}`);
  for (const id of ids) {
    const answer = await gateway.complete(
      { model: 'echo', messages: [{ role: 'user', content: 'hello' }] },
      'alice',
      { 'x-request-id': id },
    );
    await answer.body?.cancel();
    expect(answer.status).toBe(200);
  }
  return ids;
}

it('loses no line over a rotation under load, with two workers', async () => {
  const logrotate = requireProgram('logrotate');
  const path = await configuration();
  const state = join(directory, 'state');
  const before = await send(40);
  const during = send(120);
  await new Promise((resolve) => setTimeout(resolve, 300));
  const outcome = await run(logrotate, ['--force', '--verbose', '--state', state, path]);
  expect(outcome.stderr).not.toContain('error:');
  expect(outcome.code).toBe(0);
  const sent = [...before, ...(await during), ...(await send(20))];
  const files = async () => (await readdir(directory)).filter((name) => name.startsWith('gateway.log'));
  expect(await files()).toHaveLength(2);
  await eventually('every request is in one of the two files, once', async () => {
    const texts = await Promise.all((await files()).map((name) => readFile(join(directory, name), 'utf8')));
    const counts = sent.map((id) => texts.join('').split(`"request_id":"${id}"`).length - 1);
    return counts.every((count) => count === 1);
  });
  const fresh = await readFile(join(directory, 'gateway.log'), 'utf8');
  expect(fresh).toContain(sent.at(-1));
});
