import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { withDataDirLock } from './data-dir-lock.js';

it('who waits long for another process says so once, and which file it is', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'data-dir-lock-'));
  const file = join(folder, 'lock');
  const [held, heard] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const told: string[] = [];
  const log = (line: string): void => {
    told.push(line);
    heard.resolve();
  };
  const first = withDataDirLock(file, { timeoutMs: 20_000, log }, async () => {
    held.resolve();
    await heard.promise;
    await sleep(200); // time enough to say it again
  });
  await held.promise;
  await withDataDirLock(file, { timeoutMs: 20_000, log }, () => first);
  expect(told).toEqual([expect.stringContaining(file)]);
  await rm(folder, { recursive: true });
});
