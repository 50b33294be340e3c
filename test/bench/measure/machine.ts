import { execFileSync } from 'node:child_process';
import { availableParallelism, cpus, release, totalmem } from 'node:os';
import type { Machine } from '../present/report.ts';
import { isPinned } from '../subjects/child.ts';
import { isOnMemoryDisk } from '../subjects/memory-disk.ts';
import { priority } from './priority.ts';

/** @param workFolder  where databases and journals lie */
export function describeMachine(workFolder: string): Machine {
  return {
    cpu: cpus()[0]?.model ?? 'unknown CPU',
    cores: availableParallelism(),
    memoryGb: totalmem() / 1024 ** 3,
    kernel: release(),
    isPinned,
    priority,
    isOnMemoryDisk: isOnMemoryDisk(workFolder),
  };
}

/** Short hash, with a `+` when the program has changes that are not committed. */
export function describeCommit(): string {
  try {
    const git = (...args: string[]): string => execFileSync('git', args, { encoding: 'utf8' }).trim();
    const isDirty = git('status', '--porcelain', '--', 'src', 'libs', 'package-lock.json') !== '';
    return git('rev-parse', '--short', 'HEAD') + (isDirty ? '+' : '');
  } catch {
    return 'unknown';
  }
}
