import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { withDataDirLock } from './data-dir-lock.js';

it('who waits long for another process says so once, and which file it is', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'data-dir-lock-'));
  const file = join(folder, 'lock');
  const told: string[] = [];
  const waiting = { timeoutMs: 20_000, log: (line: string) => void told.push(line) };
  const first = withDataDirLock(file, waiting, () => sleep(2_500));
  await withDataDirLock(file, waiting, () => first);
  expect(told).toEqual([expect.stringContaining(file)]);
  await rm(folder, { recursive: true });
});
