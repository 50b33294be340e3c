import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chown, mkdtemp, readFile, readdir, rename, rm, rmdir, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { makeFolderFor, openClusterFolder } from './cluster-folder.js';
import { hasErrorCode } from '../error-code.js';
import { removeQuietly, temporaryDirFor, type PostgresBinaries } from './postgres-binaries.js';
import type { ServerAccount } from './server-account.js';
import { serverEnvironment } from './server-environment.js';

/** Major version of the binaries: the files of another one can't be opened by it. */
const MAJOR_VERSION = '18';
/** The server's password lies inside the cluster, so that one can't be there without the other. */
const PASSWORD_FILE = 'gateway.password';

/**
 * Makes the cluster in `clusterDir` unless it is there. It is made under another name and renamed when complete:
 * a start that was killed in between leaves something that the next one sweeps away, never half a cluster.
 *
 * @returns the superuser's password
 */
export async function ensureCluster(
  clusterDir: string,
  binaries: PostgresBinaries,
  account: ServerAccount | undefined,
  fsync: boolean,
): Promise<string> {
  await sweepUnfinished(clusterDir);
  if (!(await hasCluster(clusterDir))) await makeCluster(clusterDir, binaries, account, fsync);
  return readFile(join(clusterDir, PASSWORD_FILE), 'utf8');
}

async function hasCluster(clusterDir: string): Promise<boolean> {
  const version = await readFile(join(clusterDir, 'PG_VERSION'), 'utf8').catch((error: unknown) => {
    if (hasErrorCode(error, 'ENOENT')) return undefined;
    throw new Error(`Cannot read the embedded database in ${clusterDir}. Does it belong to another user?`, {
      cause: error,
    });
  });
  if (version === undefined) return false;
  if (version.trim() === MAJOR_VERSION) return true;
  throw new Error(
    `${clusterDir} was created by PostgreSQL ${version.trim()}; this gateway includes ${MAJOR_VERSION}. ` +
      'Move the folder away to start afresh, or set DATABASE_URL to a server of that version.',
  );
}

async function makeCluster(
  clusterDir: string,
  binaries: PostgresBinaries,
  account: ServerAccount | undefined,
  fsync: boolean,
): Promise<void> {
  const unfinished = `${clusterDir}.init-${randomBytes(6).toString('hex')}`;
  await makeFolderFor(unfinished, account);
  const password = randomBytes(24).toString('base64url');
  try {
    await initdb(unfinished, binaries, account, fsync, password);
    await writeSecret(join(unfinished, PASSWORD_FILE), password, account);
    await removeEmptyFolder(clusterDir);
    await rename(unfinished, clusterDir);
  } catch (error) {
    await removeQuietly(unfinished);
    throw error;
  }
}

/** A cluster may replace an empty folder (a mounted volume's mount point can't be replaced: the error says so). */
async function removeEmptyFolder(dir: string): Promise<void> {
  try {
    await rmdir(dir);
  } catch (error) {
    if (hasErrorCode(error, 'ENOENT')) return;
    throw new Error(`${dir} is in the way: not empty, or a mount point, and not a database folder`, {
      cause: error,
    });
  }
}

async function initdb(
  dir: string,
  binaries: PostgresBinaries,
  account: ServerAccount | undefined,
  fsync: boolean,
  password: string,
): Promise<void> {
  const secretsDir = await mkdtemp(join(await temporaryDirFor(account), 'llm-gateway-init-'));
  try {
    const passwordFile = join(secretsDir, 'password');
    await writeSecret(passwordFile, password, account);
    if (account) await chown(secretsDir, account.uid, account.gid);
    await runInitdb(dir, binaries, account, fsync, passwordFile);
  } finally {
    await rm(secretsDir, { recursive: true, force: true });
  }
}

async function writeSecret(file: string, secret: string, account: ServerAccount | undefined): Promise<void> {
  await writeFile(file, secret, { mode: 0o600 });
  if (account) await chown(file, account.uid, account.gid);
}

async function runInitdb(
  dir: string,
  binaries: PostgresBinaries,
  account: ServerAccount | undefined,
  fsync: boolean,
  passwordFile: string,
): Promise<void> {
  await using folder = await openClusterFolder(dir, account);
  const options = ['-U', 'postgres', '-E', 'UTF8', '--locale=C', '-A', 'scram-sha-256', '--no-instructions'];
  const child = spawn(
    binaries.initdb,
    ['-D', folder.path, `--pwfile=${passwordFile}`, ...options, ...(fsync ? [] : ['--no-sync'])],
    {
      ...account,
      cwd: dirname(passwordFile),
      env: serverEnvironment(),
      stdio: ['ignore', 'pipe', 'pipe', ...folder.inherited],
      windowsHide: true,
    },
  );
  const output: string[] = [];
  child.stdout?.on('data', (chunk: Buffer) => output.push(chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => output.push(chunk.toString()));
  const exitCode = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  if (exitCode === 0) return;
  throw new Error(
    `initdb failed (exit ${exitCode}); set DATABASE_URL to use your own PostgreSQL instead:\n${output.join('').slice(-2_000)}`,
  );
}

async function sweepUnfinished(clusterDir: string): Promise<void> {
  const prefix = `${basename(clusterDir)}.init-`;
  for (const name of await readdir(dirname(clusterDir))) {
    if (name.startsWith(prefix)) await removeQuietly(join(dirname(clusterDir), name));
  }
}
