import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import jwt from 'jsonwebtoken';
import { giveWay } from '../measure/priority.ts';
import { isPostgres, processTree } from '../measure/process-cost.ts';
import { freePort, pin, startChild, SUBJECT_CORE, TOOL_CORE, untilAnswers } from './child.ts';
import { NODE_FLAGS } from './node-flags.ts';
import type { Subject } from './subject.ts';

export const PROGRAM = fileURLToPath(new URL('../../../dist/src/main.js', import.meta.url));
export const JWT_SECRET = 'a-benchmark-secret-that-is-long-enough-0123456789';
export const EVERYTHING_ON =
  'ENVIRONMENT=production: JWT, request limits of each user (counted in memory, set high), durable hold and settle in PostgreSQL ' +
  '(embedded, fsync on, a process of its own), billing journal on disk, metrics, a log line a request to a file';

const USERS = 1_000;

/** One for each user. */
export function mintTokens(): string[] {
  const exp = Math.floor(Date.now() / 1000) + 24 * 3600;
  return Array.from({ length: USERS }, (_, user) => jwt.sign({ sub: `user-${user}`, exp }, JWT_SECRET));
}

export interface GatewayOptions {
  readonly name: string;
  readonly title: string;
  readonly folder: string;
  readonly upstreamPort: number;
  readonly env?: Readonly<Record<string, string>>;
}

/** Production settings; only the amounts are large, so that nobody is refused. */
export function productionEnvironment(upstreamPort: number): Record<string, string> {
  const upstream = `http://127.0.0.1:${upstreamPort}`;
  return {
    ENVIRONMENT: 'production',
    HOST: '127.0.0.1',
    LOG_LEVEL: 'info',
    JWT_SECRET_KEY: JWT_SECRET,
    OPENAI_API_KEY: 'sk-bench',
    OPENAI_BASE_URL: `${upstream}/v1`,
    ANTHROPIC_API_KEY: 'sk-bench',
    ANTHROPIC_BASE_URL: upstream,
    GOOGLE_GEMINI_API_KEY: 'sk-bench',
    GOOGLE_GEMINI_BASE_URL: upstream,
    RATE_LIMIT_STORAGE: 'memory',
    RATE_LIMIT_REQUESTS_PER_MINUTE: '10000000',
    RATE_LIMIT_REQUESTS_PER_HOUR: '100000000',
    PROVIDER_MAX_CONCURRENCY: '8192',
    BILLING_DEFAULT_BALANCE: '1000000',
  };
}

export async function startGateway(options: GatewayOptions): Promise<Subject> {
  const folder = join(options.folder, options.name);
  mkdirSync(folder, { recursive: true });
  const port = await freePort();
  const inspectorPort = await freePort();
  const child = startChild(
    process.execPath,
    [
      ...NODE_FLAGS,
      `--inspect-port=127.0.0.1:${inspectorPort}`,
      '--max-semi-space-size=32',
      '--enable-source-maps',
      PROGRAM,
    ],
    {
      name: options.name,
      folder: options.folder,
      core: SUBJECT_CORE,
      cwd: folder,
      env: {
        ...productionEnvironment(options.upstreamPort),
        PORT: String(port),
        DATA_DIR: folder,
        ...options.env,
      },
    },
  );
  await untilAnswers(`http://127.0.0.1:${port}/ready`, options.title);
  const database = (): number[] => processTree(child.pid).filter(isPostgres);
  pin(database(), TOOL_CORE);
  giveWay(database());
  return {
    name: options.name,
    title: options.title,
    port,
    path: '/v1/chat/completions',
    headers: [],
    // With WORKERS there are several.
    get pids() {
      return processTree(child.pid).filter((pid) => !isPostgres(pid));
    },
    get helperPids() {
      return database();
    },
    inspectorPort,
    forgetLog: child.forgetLog,
    stop: child.stop,
  };
}

/** A further provider called `other`, whose model of that name is served by the same upstream. */
export function writeGatewayFile(folder: string, upstreamPort: number): string {
  const file = join(folder, 'gateway.yaml');
  writeFileSync(
    file,
    `providers:
  other: { type: openai-compatible, base_url: http://127.0.0.1:${upstreamPort}/v1 }
models:
  other:
    targets: [{ provider: other, model: other }]
    price: { input_per_million: '0.10', output_per_million: '0.40' }
    context_window: 8192
    max_output_tokens: 2048
`,
  );
  return file;
}
