import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Boot } from '../present/report.ts';
import { freePort, startChild, SUBJECT_CORE } from '../subjects/child.ts';
import { productionEnvironment, PROGRAM } from '../subjects/gateway.ts';
import { summarise } from './statistics.ts';

const QUICKSTART = fileURLToPath(new URL('../../../deployments/quickstart.mjs', import.meta.url));
const EMBEDDED_POSTGRES = new URL('../../../dist/src/database/embedded-postgres.js', import.meta.url);
const POLL_MS = 5;
const LIMIT_MS = 180_000;

interface Program {
  readonly name: string;
  readonly title: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** From the start of the process to the first 200 of `/ready`. The first boot of each is not counted: it makes its data. */
export async function measureStartup(folder: string, upstreamPort: number, rounds: number): Promise<Boot[]> {
  const { startEmbeddedPostgres } = (await import(EMBEDDED_POSTGRES.href)) as {
    startEmbeddedPostgres(options: { dataDir: string }): Promise<{ url: string; stop(): Promise<void> }>;
  };
  const postgres = await startEmbeddedPostgres({ dataDir: join(folder, 'startup-postgres') });
  try {
    const programs: Program[] = [
      {
        name: 'startup-production',
        title: 'production boot to ready, PostgreSQL running and migrated',
        args: ['--max-semi-space-size=32', '--enable-source-maps', PROGRAM],
        env: { ...productionEnvironment(upstreamPort), DATABASE_URL: postgres.url },
      },
      {
        name: 'startup-quickstart',
        title: '`npm run quickstart` the second time, to ready (its embedded PostgreSQL starts too)',
        args: [QUICKSTART],
        env: {},
      },
    ];
    const found = new Map<Program, number[]>(programs.map((program) => [program, []]));
    for (let round = -1; round < rounds; round++) {
      for (const program of programs) {
        const seconds = await bootSeconds(program, folder);
        if (round >= 0) found.get(program)!.push(seconds);
      }
    }
    return programs.map((program) => ({ title: program.title, seconds: summarise(found.get(program)!)! }));
  } finally {
    await postgres.stop();
  }
}

async function bootSeconds({ name, args, env }: Program, folder: string): Promise<number> {
  const port = await freePort();
  const dataDir = join(folder, name);
  mkdirSync(dataDir, { recursive: true });
  const startedMs = performance.now();
  const child = startChild(process.execPath, args, {
    name,
    folder,
    core: SUBJECT_CORE,
    env: { ...env, HOST: '127.0.0.1', PORT: String(port), DATA_DIR: dataDir },
  });
  while (!(await isReady(port))) {
    if (performance.now() - startedMs > LIMIT_MS) throw new Error(`${name} does not get ready`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  const seconds = (performance.now() - startedMs) / 1000;
  await child.stop();
  return seconds;
}

async function isReady(port: number): Promise<boolean> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/ready`);
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}
