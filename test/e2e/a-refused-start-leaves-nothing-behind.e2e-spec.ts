import { existsSync } from 'node:fs';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { join } from 'node:path';
import { eventually, type Gateway, startGateway } from '@app/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const BOOT_TIMEOUT_MS = 45_000;

const isServerGone = (dataDir: string): boolean => !existsSync(join(dataDir, 'postgres', 'postmaster.pid'));

describe('a start that is refused', () => {
  let taken: Server;
  beforeAll(async () => {
    taken = createServer();
    await new Promise<void>((resolve) => void taken.listen(0, resolve));
  });
  afterAll(() => void taken.close());

  async function expectRefusal(gateway: Gateway, reason: RegExp): Promise<void> {
    await eventually('it has ended', () => gateway.exit !== undefined, BOOT_TIMEOUT_MS);
    expect(gateway.exit, gateway.logs).toMatchObject({ code: 1 });
    expect(gateway.logs).toMatch(reason);
    await eventually('no embedded database is left', () => isServerGone(gateway.dataDir));
  }

  it('for a port that is in use leaves no embedded database behind', async () => {
    const { port } = taken.address() as AddressInfo;
    await expectRefusal(await startGateway({ waitFor: 'none', port }), /EADDRINUSE/);
  });

  it('takes nobody else\u2019s embedded database away', async () => {
    const serving = await startGateway();
    const { port } = taken.address() as AddressInfo;
    const refused = await startGateway({ waitFor: 'none', dataDir: serving.dataDir, port });
    await eventually('it has ended', () => refused.exit !== undefined, BOOT_TIMEOUT_MS);
    expect((await serving.fetch('/billing/balance', { as: 'alice' })).status).toBe(200);
    expect(isServerGone(serving.dataDir)).toBe(false);
    await serving.stop();
    expect(isServerGone(serving.dataDir)).toBe(true);
  });
});
