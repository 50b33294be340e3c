import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from './eventually.js';

const BOOT_MS = 1_000;

/**
 * Waits for the first lines of a gateway's program, which listen for signals. Linux tells by SIGHUP, for which node itself
 * does not listen; elsewhere it is a moment's sleep.
 */
export async function listensForSignals(pid: number | undefined): Promise<void> {
  if (process.platform !== 'linux') return sleep(BOOT_MS);
  await eventually(
    'the program listens for signals',
    async () => {
      const status = await readFile(`/proc/${pid}/status`, 'utf8');
      const caught = BigInt(`0x${/^SigCgt:\s*(\w+)$/m.exec(status)?.[1] ?? '0'}`);
      return (caught & 1n) === 1n;
    },
    30_000,
    5,
  );
}
