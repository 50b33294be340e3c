import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { hasErrorCode } from '../error-code.js';

const run = promisify(execFile);

/**
 * A name for a running process that no later process with the same id can have: `<pid>` or `<pid>-<start>`.
 * Where the start time can't be read (Windows) the id stands alone.
 */
export async function identifyProcess(pid: number): Promise<string> {
  const startedAt = await startOf(pid);
  return startedAt === undefined ? String(pid) : `${pid}-${startedAt}`;
}

/** Whether the process that `identifyProcess` named still runs. */
export async function isProcessAlive(identity: string): Promise<boolean> {
  const pid = Number.parseInt(identity, 10);
  if (!Number.isSafeInteger(pid) || pid <= 0 || !(await isRunning(pid))) return false;
  return (await identifyProcess(pid)) === identity;
}

/** Whether any process, anybody's, has this id. One that ended and waits to be collected by its parent doesn't count. */
export async function isRunning(pid: number): Promise<boolean> {
  if (!hasPid(pid)) return false;
  return (await linuxStatus(pid))?.[0] !== 'Z';
}

/** The same, and one that waits to be collected counts. */
export function hasPid(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return hasErrorCode(error, 'EPERM');
  }
}

async function startOf(pid: number): Promise<string | undefined> {
  if (process.platform === 'win32') return undefined;
  if (process.platform === 'linux') return (await linuxStatus(pid))?.[19];
  const { stdout } = await run('ps', ['-o', 'lstart=', '-p', String(pid)]).catch(() => ({ stdout: '' }));
  return stdout.trim().replaceAll(/\W+/g, '_') || undefined;
}

/**
 * /proc/<pid>/stat from its third field on: [0] is the state, [19] the start in clock ticks since boot.
 * The second field, the name, may hold blanks and brackets.
 */
async function linuxStatus(pid: number): Promise<string[] | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  return text?.slice(text.lastIndexOf(')') + 2).split(' ');
}
