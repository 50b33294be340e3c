import { mkdtemp } from 'node:fs/promises';
import { type Agent, request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import {
  createDatabase,
  type Gateway,
  mintToken,
  startGateway,
  startRedis,
  type TestDatabase,
  type TestRedis,
} from '@app/testing';
import { inject } from 'vitest';
import { NginxServer } from './nginx-server.js';

export interface Answer {
  readonly status: number;
  readonly rawHeaders: readonly string[];
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  /** Milliseconds since the request, and what came then. */
  readonly pieces: readonly { readonly atMs: number; readonly text: string }[];
}

export interface AskOptions {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string | Buffer;
  /** One of this machine's addresses; another than 127.0.0.1 counts as outside. */
  readonly from?: string;
  readonly agent?: Agent;
}

/** Three at once take a busy machine several times as long as one. */
const START_TIMEOUT_MS = 120_000;

/** Production in small: nginx in front of three gateways that share PostgreSQL and Redis. */
export class Site implements AsyncDisposable {
  private constructor(
    readonly nginx: NginxServer,
    readonly gateways: readonly Gateway[],
    readonly environment: Readonly<Record<string, string>>,
    readonly database: TestDatabase,
    private readonly redis: TestRedis,
  ) {}

  static async start(overrides: Readonly<Record<string, string>> = {}): Promise<Site> {
    const database = await createDatabase();
    const redis = await startRedis();
    const environment = {
      ENVIRONMENT: 'production',
      DATABASE_URL: database.url,
      REDIS_URL: redis.url,
      RATE_LIMIT_STORAGE: 'redis',
      RATE_LIMIT_REQUESTS_PER_MINUTE: '0',
      RATE_LIMIT_REQUESTS_PER_HOUR: '0',
      TRUST_PROXY_HOPS: '1',
      SHUTDOWN_GRACE_SECONDS: '30',
      BILLING_DEFAULT_BALANCE: '1000',
      ...overrides,
    };
    const gateways = await startGateway({
      instances: 3,
      env: environment,
      startTimeoutMs: START_TIMEOUT_MS,
    });
    return new Site(await startNginx(gateways), gateways, environment, database, redis);
  }

  /** A second nginx before the same gateways, with a fault in its configuration. */
  brokenNginx(edit: (text: string) => string): Promise<NginxServer> {
    return startNginx(this.gateways, edit);
  }

  /** One request through nginx, over TLS that trusts its certificate only. */
  ask(path: string, options: AskOptions = {}): Promise<Answer> {
    const startedMs = performance.now();
    return new Promise((resolve, reject) => {
      const outgoing = httpsRequest(
        {
          host: '127.0.0.1',
          servername: 'localhost',
          port: this.nginx.port,
          path,
          method: options.method ?? 'GET',
          ca: this.nginx.certificate,
          headers: { host: `localhost:${this.nginx.port}`, ...options.headers },
          ...(options.from !== undefined && { localAddress: options.from }),
          agent: options.agent ?? false,
        },
        (response) => {
          const pieces: { atMs: number; text: string }[] = [];
          response.setEncoding('utf8');
          response.on('data', (text: string) => pieces.push({ atMs: performance.now() - startedMs, text }));
          response.on('error', reject);
          response.on('aborted', () => reject(new Error('cut')));
          response.on('end', () =>
            resolve({
              status: response.statusCode ?? 0,
              rawHeaders: response.rawHeaders,
              headers: response.headers,
              text: pieces.map((piece) => piece.text).join(''),
              pieces,
            }),
          );
        },
      );
      outgoing.on('error', reject);
      outgoing.end(options.body);
    });
  }

  complete(body: object, options: AskOptions & { user?: string } = {}): Promise<Answer> {
    return this.ask('/v1/chat/completions', {
      ...options,
      method: 'POST',
      headers: {
        authorization: `Bearer ${mintToken({ sub: options.user ?? 'alice' })}`,
        'content-type': 'application/json',
        ...options.headers,
      },
      body: JSON.stringify(body),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.nginx[Symbol.asyncDispose]();
    for (const gateway of this.gateways) await gateway.stop();
    await this.redis.stop();
    await this.database.drop();
  }
}

async function startNginx(
  gateways: readonly Gateway[],
  edit?: (text: string) => string,
): Promise<NginxServer> {
  const directory = await mkdtemp(join(inject('runDirectory'), 'nginx-'));
  return NginxServer.start(
    directory,
    gateways.map((gateway) => gateway.port),
    edit,
  );
}

export const say = (content: string, rest: object = {}) => ({
  model: 'echo',
  messages: [{ role: 'user', content }],
  ...rest,
});

export function errorOf(answer: Answer): { type: string; code: string } {
  return (JSON.parse(answer.text) as { error: { type: string; code: string } }).error;
}
