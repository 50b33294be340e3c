import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { commandOf, processTree } from '../measure/process-cost.ts';
import { freePort, pin, startChild, SUBJECT_CORE, TOOL_CORE, untilAnswers } from './child.ts';
import { NODE_FLAGS } from './node-flags.ts';
import type { Subject } from './subject.ts';

const PROGRAM = fileURLToPath(new URL('../../../dist/src/main.js', import.meta.url));

export const JWT_SECRET = 'a-benchmark-secret-that-is-long-enough-0123456789';

export interface GatewayOptions {
  readonly name: string;
  readonly title: string;
  readonly folder: string;
  readonly upstreamPort: number;
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * Our own, with everything on: JWT, limits, durable hold and settle in a real PostgreSQL (embedded, a process of its
 * own), metrics, one log line a request. Only the amounts are large, so that nobody is refused.
 */
export async function startGateway(options: GatewayOptions): Promise<Subject> {
  const folder = join(options.folder, options.name);
  mkdirSync(folder, { recursive: true });
  const port = await freePort();
  const inspectorPort = await freePort();
  const child = startChild(
    process.execPath,
    [...NODE_FLAGS, `--inspect-port=127.0.0.1:${inspectorPort}`, '--enable-source-maps', PROGRAM],
    {
      name: options.name,
      folder: options.folder,
      core: SUBJECT_CORE,
      cwd: folder,
      env: {
        ENVIRONMENT: 'production',
        HOST: '127.0.0.1',
        PORT: String(port),
        DATA_DIR: folder,
        JWT_SECRET_KEY: JWT_SECRET,
        OPENAI_API_KEY: 'sk-bench',
        OPENAI_BASE_URL: `http://127.0.0.1:${options.upstreamPort}/v1`,
        RATE_LIMIT_STORAGE: 'memory',
        RATE_LIMIT_REQUESTS_PER_MINUTE: '10000000',
        RATE_LIMIT_REQUESTS_PER_HOUR: '100000000',
        PROVIDER_MAX_CONCURRENCY: '8192',
        BILLING_DEFAULT_BALANCE: '1000000',
        ...options.env,
      },
    },
  );
  await untilAnswers(`http://127.0.0.1:${port}/ready`, options.title);
  const helpers = processTree(child.pid).filter(
    (pid) => pid !== child.pid && /postgres|redis/.test(commandOf(pid)),
  );
  pin(helpers, TOOL_CORE);
  return {
    name: options.name,
    title: options.title,
    port,
    path: '/v1/chat/completions',
    headers: [],
    takesTokens: true,
    pids: [child.pid],
    get helperPids() {
      return processTree(child.pid).filter((pid) => pid !== child.pid);
    },
    inspectorPort,
    forgetLog: child.forgetLog,
    stop: child.stop,
  };
}
