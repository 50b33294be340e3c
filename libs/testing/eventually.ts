import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Waits until `probe` answers something other than `undefined` and `false`, and gives that back. Errors of the probe
 * count as "not yet"; the last one is the `cause` when time is up.
 */
export async function eventually<T>(
  what: string,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  timeoutMs = 10_000,
  intervalMs = 20,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  let lastError: unknown;
  while (performance.now() < deadline) {
    try {
      const result = await probe();
      if (result !== undefined && result !== false) return result;
    } catch (error) {
      lastError = error;
    }
    await sleep(intervalMs);
  }
  throw new Error(`not within ${timeoutMs} ms: ${what}`, { cause: lastError });
}
