import { mkdtempSync, statfsSync } from 'node:fs';
import { join } from 'node:path';

const TMPFS = 0x01021994;
const MEMORY_DISK = '/dev/shm';
/** Databases, journals and their spare files; a container's memory disk often has 64 MB in all. */
const ROOM_BYTES = 1024 ** 3;

export function isOnMemoryDisk(path: string): boolean {
  return statfsSync(path).type === TMPFS;
}

/** A new folder on the machine's memory disk; `undefined` where there is none, or no room on it. */
export function memoryFolder(): string | undefined {
  try {
    const { type, bavail, bsize } = statfsSync(MEMORY_DISK);
    if (type !== TMPFS || bavail * bsize < ROOM_BYTES) return undefined;
    return mkdtempSync(join(MEMORY_DISK, 'llm-gateway-bench-'));
  } catch {
    return undefined;
  }
}
