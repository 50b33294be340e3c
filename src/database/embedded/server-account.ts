import { readFile, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { hasErrorCode } from '../error-code.js';

/** The user that runs the server, when it can't be the user of this process: PostgreSQL refuses root. */
export interface ServerAccount {
  readonly uid: number;
  readonly gid: number;
}

const NOBODY: ServerAccount = { uid: 65_534, gid: 65_534 };

/**
 * Who runs the server on the cluster in `clusterDir`.
 *
 * For root it is the owner of the existing cluster (so that a start as root doesn't lock out the ordinary user who made
 * it), else `nobody`. For everybody else `undefined`: the user of this process.
 */
export async function chooseServerAccount(clusterDir: string): Promise<ServerAccount | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const owner = await ownerOf(clusterDir);
  return owner && owner.uid !== 0 ? owner : nobody();
}

async function ownerOf(dir: string): Promise<ServerAccount | undefined> {
  try {
    const { uid, gid } = await stat(dir);
    return { uid, gid };
  } catch (error) {
    if (hasErrorCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

async function nobody(): Promise<ServerAccount> {
  const passwd = await readFile('/etc/passwd', 'utf8').catch(() => '');
  const entry = /^nobody:[^:]*:(-?\d+):(-?\d+):/m.exec(passwd);
  if (!entry) return NOBODY;
  // macOS writes -2; the system calls want it unsigned
  return { uid: Number(entry[1]) >>> 0, gid: Number(entry[2]) >>> 0 };
}

/** Whether `account` may pass every folder above `path`, and enter or execute `path` itself. */
export async function canTraverse(path: string, account: ServerAccount): Promise<boolean> {
  for (let current = resolve(path); ; current = dirname(current)) {
    if (!(await hasExecuteBit(current, account))) return false;
    if (current === dirname(current)) return true;
  }
}

async function hasExecuteBit(path: string, account: ServerAccount): Promise<boolean> {
  const { mode, uid, gid } = await stat(path);
  if (uid === account.uid) return (mode & 0o100) !== 0;
  if (gid === account.gid) return (mode & 0o010) !== 0;
  return (mode & 0o001) !== 0;
}
