import { close, constants, fdatasync, open, write } from 'node:fs';
import { open as openHandle, unlink } from 'node:fs/promises';
import { promisify } from 'node:util';

/** The few calls a journal makes to the disk, so that tests can make them fail. */
export interface JournalFiles {
  /** Makes a file of `bytes` zeros that is safely on the disk, with its name. Returns a descriptor to write to it. */
  create(path: string, directory: string, bytes: number): Promise<number>;
  /** Writes everything, at a position. */
  write(fd: number, data: Buffer, position: number): Promise<void>;
  /** Resolves when what was written is on the disk; at once where `write` has waited for that. */
  sync(fd: number): Promise<void>;
  close(fd: number): Promise<void>;
}

/**
 * On Linux a write can itself wait for the disk, instead of an `fdatasync` behind it: one trip to the thread pool less for
 * each group. Not elsewhere: macOS leaves such a write in the drive's cache, which Node's `fdatasync` does not.
 */
const WRITES_THROUGH = process.platform === 'linux';
const ZEROS = Buffer.alloc(256 * 1024);
const writeOnce = promisify(write);
const closeFile = promisify(close);
const openFile = promisify(open);
const syncFile = promisify(fdatasync);

export const DISK: JournalFiles = {
  /** Written with zeros, not truncated to size: space that was only promised can be missing when it is needed. */
  async create(path, directory, bytes) {
    const fd = await openFile(path, 'wx', 0o600);
    try {
      for (let position = 0; position < bytes; position += ZEROS.length) {
        await DISK.write(fd, ZEROS.subarray(0, Math.min(ZEROS.length, bytes - position)), position);
      }
      await syncFile(fd);
      await syncDirectory(directory);
      if (!WRITES_THROUGH) return fd;
    } catch (error) {
      await closeFile(fd).catch(() => undefined);
      // A file that did not fit takes the space that the next attempt needs.
      await unlink(path).catch(() => undefined);
      throw error;
    }
    await closeFile(fd);
    return openFile(path, constants.O_WRONLY | constants.O_DSYNC);
  },

  async write(fd, data, position) {
    for (let done = 0; done < data.length;) {
      const { bytesWritten } = await writeOnce(fd, data, done, data.length - done, position + done);
      if (bytesWritten === 0) throw new Error('the disk took nothing');
      done += bytesWritten;
    }
  },

  sync: WRITES_THROUGH ? () => Promise.resolve() : (fd) => syncFile(fd),
  close: (fd) => closeFile(fd),
};

/** A file is only safe when its name is; Windows has no such call and needs none. */
async function syncDirectory(directory: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await openHandle(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
