import { readFile, stat, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { identifyProcess, isProcessAlive } from '../../database/embedded/process-identity.js';

const OWNER_FILE = 'owner.json';
/** A directory without an owner file is just being made, or its maker died meanwhile. */
const NAMELESS_MS = 60_000;

/** Who writes a journal directory: enough to tell, later and from outside, whether it still lives. */
interface Owner {
  readonly host: string;
  /** Id of the kernel's boot, where there is one: process ids of an earlier boot mean nothing. */
  readonly boot: string | undefined;
  readonly process: string;
}

/** What is known of a directory's owner. `elsewhere`: on another host, whose processes cannot be seen from here. */
export type OwnerState = 'alive' | 'dead' | 'elsewhere';

export async function writeOwner(directory: string): Promise<void> {
  await writeFile(join(directory, OWNER_FILE), JSON.stringify(await thisOwner()), {
    mode: 0o600,
    flush: true,
  });
}

export async function stateOfOwner(directory: string): Promise<OwnerState> {
  const owner = await readOwner(directory);
  if (!owner) return (await isYoung(directory)) ? 'alive' : 'dead';
  const self = await thisOwner();
  if (owner.host !== self.host) return 'elsewhere';
  if (owner.boot !== self.boot) return 'dead';
  return (await isProcessAlive(owner.process)) ? 'alive' : 'dead';
}

async function thisOwner(): Promise<Owner> {
  const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => undefined);
  return { host: hostname(), boot: boot?.trim(), process: await identifyProcess(process.pid) };
}

async function readOwner(directory: string): Promise<Owner | undefined> {
  try {
    return JSON.parse(await readFile(join(directory, OWNER_FILE), 'utf8')) as Owner;
  } catch {
    return undefined;
  }
}

async function isYoung(directory: string): Promise<boolean> {
  const status = await stat(directory).catch(() => undefined);
  return status !== undefined && Date.now() - status.mtimeMs < NAMELESS_MS;
}
