import { execFile } from 'node:child_process';
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { TEST_JWT_SECRET } from '@app/testing';
import { expect, inject, it } from 'vitest';

const CLI = fileURLToPath(new URL('../../dist/src/cli.js', import.meta.url));

it('the command prints a token soon: it loads neither Nest nor a driver', async () => {
  const cwd = await mkdtemp(join(inject('runDirectory'), 'cli-'));
  const env = { PATH: process.env['PATH'], JWT_SECRET_KEY: TEST_JWT_SECRET };
  const startedMs = performance.now();
  const { stdout } = await promisify(execFile)(process.execPath, [CLI, 'token', '--user', 'alice'], {
    cwd,
    env,
  });
  expect(performance.now() - startedMs).toBeLessThan(3000);
  expect(stdout).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/);
});
