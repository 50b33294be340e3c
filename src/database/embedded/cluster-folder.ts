import { chown, constants, mkdir, open, realpath, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { canTraverse, type ServerAccount } from './server-account.js';

/** A cluster's folder as the server's user can name it. Close it when the program that got it has been started. */
export interface ClusterFolder extends AsyncDisposable {
  /** To pass as `-D`. */
  readonly path: string;
  /** To append to the program's `stdio`, so that `path` means something there. */
  readonly inherited: readonly number[];
}

/**
 * Names `dir` so that `account` reaches it, even below a folder that account may not enter (root's home is 0700, and
 * the server runs as `nobody`): then the program inherits the open folder as descriptor 3 and knows it by
 * `/proc/self/fd/3`, which needs no way through the folders above. Sessions inherit it from the server.
 */
export async function openClusterFolder(
  dir: string,
  account: ServerAccount | undefined,
): Promise<ClusterFolder> {
  const path = await realpath(dir);
  if (!account || (await canTraverse(dirname(path), account))) {
    return { path, inherited: [], [Symbol.asyncDispose]: () => Promise.resolve() };
  }
  if (process.platform !== 'linux') {
    throw new Error(
      `The embedded PostgreSQL runs as uid ${account.uid}, which cannot access ${path}. ` +
        'Set DATA_DIR to a folder outside private folders, or set DATABASE_URL.',
    );
  }
  const handle: FileHandle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  return { path: '/proc/self/fd/3', inherited: [handle.fd], [Symbol.asyncDispose]: () => handle.close() };
}

export async function makeFolderFor(dir: string, account: ServerAccount | undefined): Promise<void> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  if (account) await chown(dir, account.uid, account.gid);
}
