import { stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/** A file that was written to within this time is perhaps not yet whole: half a file may well parse. */
const QUIET_MS = 250;
const MAX_WAIT_MS = 5_000;

/** Waits until nobody writes to the file. `false` when that does not end. A file that is not there is quiet, too. */
export async function untilQuiet(path: string): Promise<boolean> {
  for (let waitedMs = 0; waitedMs <= MAX_WAIT_MS; waitedMs += QUIET_MS) {
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: 0 }));
    // A time in the future is another machine's clock, and tells nothing.
    const ageMs = Date.now() - mtimeMs;
    if (ageMs < 0 || ageMs >= QUIET_MS) return true;
    await sleep(QUIET_MS);
  }
  return false;
}
