import { execFile } from 'node:child_process';
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { freePort, TEST_JWT_SECRET } from '@app/testing';
import { inject } from 'vitest';

export interface Route {
  readonly method: string;
  /** In Express's form: `/admin/users/:id/topups`. */
  readonly path: string;
}

const PROGRAM = fileURLToPath(new URL('./print-routes.ts', import.meta.url));

/** Every route of the built program's router, documented or not, and the names of its middleware. */
export async function realRoutes(databaseUrl: string): Promise<{ routes: Route[]; middleware: string[] }> {
  const dataDir = await mkdtemp(join(inject('runDirectory'), 'routes-'));
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', PROGRAM],
    {
      cwd: dataDir,
      timeout: 85_000,
      maxBuffer: 4 * 2 ** 20,
      env: {
        PATH: process.env['PATH'],
        ENVIRONMENT: 'test',
        HOST: '127.0.0.1',
        PORT: String(await freePort()),
        DATA_DIR: dataDir,
        DATABASE_URL: databaseUrl,
        JWT_SECRET_KEY: TEST_JWT_SECRET,
        RATE_LIMIT_STORAGE: 'memory',
      },
    },
  );
  const line = stdout.split('\n').find((text) => text.startsWith('{"routes"'));
  if (line === undefined) throw new Error(`no routes were printed:\n${stdout}`);
  return JSON.parse(line) as { routes: Route[]; middleware: string[] };
}
