import {
  createDatabase,
  eventually,
  type Gateway,
  listensForSignals,
  startGateway,
  type TestDatabase,
} from '@app/testing';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/** After the first line of ours: before that it is node's and the system's business. */
const MOMENTS_MS = [0, 250, 750];
const BOOT_TIMEOUT_MS = 45_000;

describe('a signal during the boot', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await createDatabase();
  });
  afterAll(() => database?.drop());

  const boot = async (env: Record<string, string>): Promise<Gateway> => {
    const gateway = await startGateway({ waitFor: 'none', env });
    await listensForSignals(gateway.pid);
    return gateway;
  };

  it.each(MOMENTS_MS)('SIGTERM after %d ms ends it with exit code 0', async (delayMs) => {
    const gateway = await boot({ DATABASE_URL: database.url });
    await sleep(delayMs);
    await gateway.stop();
    expect(gateway.exit, gateway.logs).toEqual({ code: 0, signal: null });
  });

  it.each([
    [0, '1'],
    [750, '1'],
    [0, '2'],
    [750, '2'],
  ])('SIGTERM after %d ms leaves no embedded database behind, with WORKERS=%s', async (delayMs, workers) => {
    const gateway = await boot({ WORKERS: workers });
    await sleep(delayMs);
    await gateway.stop();
    expect(gateway.exit, gateway.logs).toEqual({ code: 0, signal: null });
    expect(existsSync(join(gateway.dataDir, 'postgres', 'postmaster.pid'))).toBe(false);
  });

  it.each(['SIGHUP', 'SIGUSR2'] as const)('%s does it no harm', async (signal) => {
    const gateway = await boot({ DATABASE_URL: database.url });
    await gateway.kill(signal);
    await eventually('it is ready', async () => (await gateway.fetch('/ready')).ok, BOOT_TIMEOUT_MS);
    expect(await gateway.stop()).toBe(0);
  });

  it('a second one ends it at once', async () => {
    const gateway = await boot({ DATABASE_URL: database.url });
    await gateway.kill('SIGTERM');
    await gateway.stop('SIGINT');
    expect(gateway.exit).toEqual({ code: 1, signal: null });
  });
});
