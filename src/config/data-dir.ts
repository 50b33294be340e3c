import { accessSync, constants, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

/** Why a folder cannot be made and written by this process; `undefined` when it can. Makes nothing. */
export function folderFault(path: string): string | undefined {
  for (let at = resolve(path); ; at = dirname(at)) {
    try {
      if (!statSync(at).isDirectory()) return 'leads through a file';
      accessSync(at, constants.W_OK | constants.X_OK);
      return undefined;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // What is not there yet will be made in what is above it.
      if (code === 'ENOENT' && dirname(at) !== at) continue;
      return code === 'ENOTDIR' ? 'leads through a file' : `cannot be written by this user (${code})`;
    }
  }
}

/** The same of a file that is to be made or added to. */
export function fileFault(path: string): string | undefined {
  try {
    if (statSync(path).isDirectory()) return 'is a folder';
    accessSync(path, constants.W_OK);
    return undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return folderFault(dirname(resolve(path)));
    return code === 'ENOTDIR' ? 'leads through a file' : `cannot be written by this user (${code})`;
  }
}
