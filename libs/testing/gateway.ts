import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Agent } from 'undici';
import { inject } from 'vitest';
import { eventually } from './eventually.js';
import { freePort } from '../../src/database/embedded/free-port.js';
import { noteProcess } from './run-directory.js';
import { mintToken, TEST_JWT_SECRET, type TokenClaims } from './tokens.js';

const PROGRAM = fileURLToPath(new URL('../../dist/src/main.js', import.meta.url));
/** Those of `npm start`: nothing in the program may make code out of text. */
const START_FLAGS = [
  '--max-semi-space-size=32',
  '--enable-source-maps',
  '--disallow-code-generation-from-strings',
];
const START_TIMEOUT_MS = 85_000;
/** The slowest clean stop the harness waits for before it kills. */
const STOP_TIMEOUT_MS = 40_000;

export interface GatewayOptions {
  /** Variables on top of the harness's own; `undefined` takes one of those away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Folder for DATA_DIR; a new one when absent. Pass the same one twice for two instances on one folder. */
  readonly dataDir?: string;
  /** The port to listen on; a free one when absent. */
  readonly port?: number;
  /** `/ready` or `/health`: what to wait for. `none` resolves as soon as the process runs. Default `/ready`. */
  readonly waitFor?: '/ready' | '/health' | 'none';
  readonly startTimeoutMs?: number;
}

export interface GatewayGroupOptions extends GatewayOptions {
  readonly instances: number;
}

/** The built program as a process of its own, spoken to over HTTP: what a user runs. */
export class Gateway implements AsyncDisposable {
  #process: ChildProcess | undefined;
  #output: string[] = [];
  #outcome: { code: number | null; signal: NodeJS.Signals | null } | undefined;
  #connections = new Agent();

  constructor(
    readonly port: number,
    readonly dataDir: string,
    private readonly env: Record<string, string>,
    private readonly options: GatewayOptions,
  ) {}

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Everything it wrote to stdout and stderr, over all its starts. */
  get logs(): string {
    return this.#output.join('');
  }

  /** Its JSON log lines. */
  get logRecords(): Record<string, unknown>[] {
    return this.logs.split('\n').flatMap((line) => parseRecord(line));
  }

  /** `undefined` while it runs. */
  get exit(): { code: number | null; signal: NodeJS.Signals | null } | undefined {
    return this.#outcome;
  }

  /** Starts the process and waits for it. Use `startGateway`, or `restart` after an end. */
  async start(): Promise<void> {
    if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is missing: run "npm run build" first`);
    const child = spawn(process.execPath, [...START_FLAGS, PROGRAM], {
      cwd: this.dataDir,
      env: this.env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#process = child;
    this.#outcome = undefined;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => this.#output.push(text));
    }
    child.on('exit', (code, signal) => (this.#outcome = { code, signal }));
    await noteProcess(inject('runDirectory'), child);
    await this.#waitUntilUp();
  }

  /** Requests a path of it, with the token's user when claims are given. */
  fetch(path: string, init: RequestInit & { as?: TokenClaims | string } = {}): Promise<Response> {
    const { as, ...rest } = init;
    const headers = new Headers(rest.headers);
    if (as)
      headers.set(
        'authorization',
        `Bearer ${typeof as === 'string' ? mintToken({ sub: as }) : mintToken(as)}`,
      );
    return fetch(this.url + path, { ...rest, headers, dispatcher: this.#connections });
  }

  /** POSTs a chat completion request as this user. */
  complete(
    body: Record<string, unknown>,
    as: TokenClaims | string = 'alice',
    headers: Record<string, string> = {},
  ): Promise<Response> {
    return this.fetch('/v1/chat/completions', {
      method: 'POST',
      as,
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });
  }

  /** Asks it to stop (SIGTERM) and waits for the end; kills it when it doesn't come. @returns its exit code */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    const child = this.#process;
    if (!child) return null;
    if (!this.#outcome) {
      const ended = once(child, 'exit');
      child.kill(signal);
      this.#closeIdleConnections();
      const killer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
      await ended;
      clearTimeout(killer);
    }
    return this.#outcome?.code ?? null;
  }

  /** Sends a signal; for SIGKILL it waits until the process is gone. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#process;
    if (!child || this.#outcome) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    if (signal === 'SIGKILL') await ended;
  }

  /** Stops it when it runs, and starts it with the same port, folder and environment. */
  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** The gateway waits a second for clients that keep connections. What runs is not cut. */
  #closeIdleConnections(): void {
    void this.#connections.close();
    this.#connections = new Agent();
  }

  async #waitUntilUp(): Promise<void> {
    const { waitFor = '/ready', startTimeoutMs = START_TIMEOUT_MS } = this.options;
    if (waitFor === 'none') return;
    try {
      await eventually(
        `the gateway answers ${waitFor}`,
        async () => {
          if (this.#outcome) return 'ended';
          const response = await this.fetch(waitFor, { signal: AbortSignal.timeout(2_000) });
          await response.body?.cancel();
          return response.ok && 'up';
        },
        startTimeoutMs,
        50,
      );
    } catch (error) {
      await this.kill();
      throw new Error(`the gateway did not start; it wrote:\n${this.logs.slice(-4_000)}`, { cause: error });
    }
    if (this.#outcome) throw new GatewayStartError(this.#outcome.code, this.logs);
  }
}

/** The process ended instead of coming up. */
export class GatewayStartError extends Error {
  override readonly name = 'GatewayStartError';

  constructor(
    readonly exitCode: number | null,
    readonly logs: string,
  ) {
    super(`the gateway ended with exit code ${exitCode}; it wrote:\n${logs.slice(-4_000)}`);
  }
}

/** One gateway on a free port. Give it DATABASE_URL (see `createDatabase`), or it starts its embedded database. */
export async function startGateway(options?: GatewayOptions): Promise<Gateway>;
/** Several instances of the same environment, each with a port and a DATA_DIR of its own. */
export async function startGateway(options: GatewayGroupOptions): Promise<Gateway[]>;
export async function startGateway(
  options: GatewayOptions | GatewayGroupOptions = {},
): Promise<Gateway | Gateway[]> {
  if (!('instances' in options)) return startOne(options);
  return Promise.all(Array.from({ length: options.instances }, () => startOne(options)));
}

/** A free port may be taken by another test before the gateway listens: then once more. */
async function startOne(options: GatewayOptions): Promise<Gateway> {
  try {
    return await tryStart(options);
  } catch (error) {
    const portTaken = error instanceof GatewayStartError && error.logs.includes('EADDRINUSE');
    if (!portTaken || options.port !== undefined) throw error;
    return tryStart(options);
  }
}

async function tryStart(options: GatewayOptions): Promise<Gateway> {
  const port = options.port ?? (await freePort());
  const dataDir = options.dataDir ?? (await mkdtemp(join(inject('runDirectory'), 'gateway-')));
  const gateway = new Gateway(port, dataDir, buildEnvironment(port, dataDir, options.env ?? {}), options);
  await gateway.start();
  return gateway;
}

/** Nothing of the developer's environment but PATH: no keys, no .env (the working folder is the data folder). */
function buildEnvironment(
  port: number,
  dataDir: string,
  overrides: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const environment: Record<string, string | undefined> = {
    PATH: process.env['PATH'],
    // The program is compiled once for all starts of a run: a quarter of what a start costs.
    NODE_COMPILE_CACHE: join(inject('runDirectory'), 'compile-cache'),
    ENVIRONMENT: 'test',
    HOST: '127.0.0.1',
    PORT: String(port),
    DATA_DIR: dataDir,
    LOG_LEVEL: 'info',
    JWT_SECRET_KEY: TEST_JWT_SECRET,
    RATE_LIMIT_STORAGE: 'memory',
    SHUTDOWN_GRACE_SECONDS: '10',
    ...overrides,
  };
  const given = Object.entries(environment).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  );
  return Object.fromEntries(given);
}

function parseRecord(line: string): Record<string, unknown>[] {
  if (!line.startsWith('{')) return [];
  try {
    return [JSON.parse(line) as Record<string, unknown>];
  } catch {
    return [];
  }
}
