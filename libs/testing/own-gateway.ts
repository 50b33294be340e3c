import { mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, inject } from 'vitest';
import { FakeUpstream } from './fake-upstream/fake-upstream.js';
import { type Gateway, type GatewayOptions, startGateway } from './gateway.js';
import { createDatabase, type TestDatabase } from './postgres.js';

/** For tests that ask more than a user may. */
export const WITHOUT_LIMITS = {
  RATE_LIMIT_REQUESTS_PER_MINUTE: '1000000',
  RATE_LIMIT_REQUESTS_PER_HOUR: '10000000',
} as const;

/** Filled before the first test. */
export interface OwnGateway {
  upstream: FakeUpstream;
  database: TestDatabase;
  gateway: Gateway;
}

/**
 * What most end-to-end files begin with: a gateway, its database and its providers, for all tests of the file or `describe`.
 *
 * @param gatewayFile  what stands in the file that GATEWAY_CONFIG names; none when absent
 */
export function ownGateway(env: GatewayOptions['env'] = {}, gatewayFile?: string): OwnGateway {
  const own = {} as OwnGateway;
  beforeAll(async () => {
    own.upstream = await FakeUpstream.start();
    own.database = await createDatabase();
    const config = gatewayFile === undefined ? {} : { GATEWAY_CONFIG: await write(gatewayFile) };
    own.gateway = await startGateway({
      env: { ...own.upstream.env, DATABASE_URL: own.database.url, ...config, ...env },
    });
  });
  afterAll(async () => {
    await own.gateway?.stop();
    await own.upstream?.stop();
    await own.database?.drop();
  });
  return own;
}

async function write(gatewayFile: string): Promise<string> {
  const path = join(await mkdtemp(join(inject('runDirectory'), 'config-')), 'gateway.yaml');
  await writeFile(path, gatewayFile);
  return path;
}
