import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createDatabase, eventually, type Gateway, startGateway } from '@app/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const BOOT_TIMEOUT_MS = 45_000;

const isServerGone = (dataDir: string): boolean => !existsSync(join(dataDir, 'postgres', 'postmaster.pid'));

/** Every line is one of the log's, and the reason is there without a stack. */
async function expectFatal(gateway: Gateway, reason: RegExp): Promise<void> {
  await eventually('it has ended', () => gateway.exit !== undefined, BOOT_TIMEOUT_MS);
  expect(gateway.exit, gateway.logs).toMatchObject({ code: 1 });
  expect(gateway.logRecords, gateway.logs).toHaveLength(gateway.logs.trim().split('\n').length);
  const fatal = gateway.logRecords.filter(({ level }) => level === 'fatal');
  expect(fatal).not.toEqual([]);
  for (const { message } of fatal) expect(message).toMatch(reason);
  expect(gateway.logs).not.toContain('    at ');
}

describe('a start that is refused', () => {
  let taken: Server;
  beforeAll(async () => {
    taken = createServer();
    await new Promise<void>((resolve) => void taken.listen(0, resolve));
  });
  afterAll(() => void taken.close());

  async function expectRefusal(gateway: Gateway, reason: RegExp): Promise<void> {
    await expectFatal(gateway, reason);
    await eventually('no embedded database is left', () => isServerGone(gateway.dataDir));
  }

  it('for a port that is in use leaves no embedded database behind', async () => {
    const { port } = taken.address() as AddressInfo;
    await expectRefusal(await startGateway({ waitFor: 'none', port }), /EADDRINUSE/);
  });

  it.each(['1', '2'])('by the database says why, and ends, with WORKERS=%s', async (workers) => {
    const database = await createDatabase({ migrated: false });
    const wrong = new URL(database.url);
    wrong.password = 'wrong';
    const env = { DATABASE_URL: wrong.toString(), WORKERS: workers };
    await expectFatal(
      await startGateway({ waitFor: 'none', env }),
      /^DATABASE_URL: the database \S+ refuses the connection: password authentication failed/,
    );
    await database.drop();
  });

  it('because of its folder says why; if the log is a file, also to whoever looks', async () => {
    const gone = await mkdtemp(join(tmpdir(), 'llm-gateway-test-'));
    await symlink(join(gone, 'nowhere'), join(gone, 'link'));
    const DATA_DIR = join(gone, 'link');
    await expectFatal(await startGateway({ waitFor: 'none', env: { DATA_DIR } }), /^DATA_DIR: .*ENOENT/);
    const LOG_FILE = join(gone, 'gateway.log');
    const filed = await startGateway({ waitFor: 'none', env: { DATA_DIR, LOG_FILE } });
    await eventually('it has ended', () => filed.exit !== undefined, BOOT_TIMEOUT_MS);
    expect(filed.logs).toMatch(/^DATA_DIR: .*ENOENT[^\n]*\n$/);
    expect(await readFile(LOG_FILE, 'utf8')).toMatch(/"level":"fatal".*"DATA_DIR: .*ENOENT/);
    await rm(gone, { recursive: true });
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

it('a start says at once that it starts, and as what', async () => {
  await using gateway = await startGateway({ waitFor: 'none', env: { WORKERS: '2' } });
  await eventually('it speaks', () => gateway.logs !== '', BOOT_TIMEOUT_MS);
  expect(gateway.logs).not.toContain('Starting Nest application');
  expect(gateway.logRecords[0]?.['message']).toMatch(
    /^LLM Gateway \S+ is starting \(Node \d+\.\d+\.\d+, pid \d+, 2 workers\)$/,
  );
});
