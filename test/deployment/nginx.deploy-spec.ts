import { mkdtemp } from 'node:fs/promises';
import { connect as connectHttp2, constants } from 'node:http2';
import { Agent, request as httpsRequest } from 'node:https';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import {
  createDatabase,
  eventually,
  type Gateway,
  mintToken,
  startGateway,
  startRedis,
  TEST_JWT_SECRET,
  type TestDatabase,
  type TestRedis,
} from '@app/testing';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { NginxServer } from './nginx-server.js';
import { PROJECT, run } from './programs.js';

const BODY_LIMIT = 10 * 2 ** 20;
/** `echo-slow` waits 20 times this before each word: a word a second. */
const ECHO_DELAY_MS = 50;
const STREAM_WORDS = 66;

let database: TestDatabase;
let redis: TestRedis;
let gateways: Gateway[];
let nginx: NginxServer;
let environment: Record<string, string>;

beforeAll(async () => {
  database = await createDatabase();
  redis = await startRedis();
  environment = {
    ENVIRONMENT: 'production',
    DATABASE_URL: database.url,
    REDIS_URL: redis.url,
    RATE_LIMIT_STORAGE: 'redis',
    RATE_LIMIT_REQUESTS_PER_MINUTE: '0',
    RATE_LIMIT_REQUESTS_PER_HOUR: '0',
    TRUST_PROXY_HOPS: '1',
    SHUTDOWN_GRACE_SECONDS: '30',
    BILLING_DEFAULT_BALANCE: '1000',
    ECHO_DELAY_MS: String(ECHO_DELAY_MS),
  };
  gateways = await startGateway({ instances: 3, env: environment });
  const directory = await mkdtemp(join(inject('runDirectory'), 'nginx-'));
  nginx = await NginxServer.start(
    directory,
    gateways.map((gateway) => gateway.port),
  );
});

afterAll(async () => {
  await nginx?.[Symbol.asyncDispose]();
  for (const gateway of gateways ?? []) await gateway.stop();
  await redis?.stop();
  await database?.drop();
});

interface Answer {
  readonly status: number;
  readonly rawHeaders: readonly string[];
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  /** Milliseconds since the request, and what came then. */
  readonly pieces: readonly { readonly atMs: number; readonly text: string }[];
}

interface AskOptions {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string | Buffer;
  /** One of this machine's addresses; another than 127.0.0.1 counts as outside. */
  readonly from?: string;
  readonly agent?: Agent;
}

/** One request through nginx, over TLS that trusts its certificate only. */
function ask(path: string, options: AskOptions = {}): Promise<Answer> {
  const startedMs = performance.now();
  return new Promise((resolve, reject) => {
    const outgoing = httpsRequest(
      {
        host: '127.0.0.1',
        servername: 'localhost',
        port: nginx.port,
        path,
        method: options.method ?? 'GET',
        ca: nginx.certificate,
        headers: { host: `localhost:${nginx.port}`, ...options.headers },
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

function complete(body: object, options: AskOptions & { user?: string } = {}): Promise<Answer> {
  return ask('/v1/chat/completions', {
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

const say = (content: string, rest: object = {}) => ({
  model: 'echo',
  messages: [{ role: 'user', content }],
  ...rest,
});

function errorOf(answer: Answer): { type: string; code: string } {
  return (JSON.parse(answer.text) as { error: { type: string; code: string } }).error;
}

describe('the configuration', () => {
  it('is accepted by nginx without a warning', async () => {
    const { code, stderr } = await nginx.check();
    expect(stderr).toContain('test is successful');
    expect(stderr).not.toContain('[warn]');
    expect(code).toBe(0);
  });
});

/** `check:deployment` as an operator runs it from elsewhere: over TLS, knowing the certificate. */
async function checkDeployment(url: string, options: { nginx?: NginxServer; token?: string } = {}) {
  const { code, stdout } = await run(
    process.execPath,
    [
      'dist/src/cli.js',
      'check:deployment',
      '--url',
      url,
      '--token',
      options.token ?? mintToken({ sub: 'smoke' }),
    ],
    {
      cwd: PROJECT,
      env: {
        ...process.env,
        ...(options.nginx && { NODE_EXTRA_CA_CERTS: join(options.nginx.directory, 'tls', 'fullchain.pem') }),
      },
    },
  );
  return { code, stdout, failed: stdout.split('\n').filter((line) => line.startsWith('FAIL')) };
}

async function brokenNginx(edit: (text: string) => string): Promise<NginxServer> {
  const directory = await mkdtemp(join(inject('runDirectory'), 'nginx-'));
  return NginxServer.start(
    directory,
    gateways.map((gateway) => gateway.port),
    (text) => {
      const edited = edit(text);
      expect(edited).not.toBe(text);
      return edited;
    },
  );
}

describe('the deployment check', () => {
  it('passes, and has seen a stream arrive chunk by chunk', async () => {
    const { code, stdout } = await checkDeployment(nginx.url, { nginx });
    expect(stdout).toMatch(/^ok {4}stream: \d+ chunks, over \d+ ms, debited/m);
    expect(stdout).toContain('the deployment works');
    expect(code).toBe(0);
  });

  it('passes where the metrics are closed', async () => {
    await using closed = await brokenNginx((text) => text.replace('allow 127.0.0.1;', ''));
    const { code, stdout } = await checkDeployment(closed.url, { nginx: closed });
    expect(stdout).toContain('ok    metrics: closed');
    expect(code).toBe(0);
  });

  // As nginx does by its defaults: without chunks from the gateway it waits until a buffer is full.
  it('names a proxy that buffers streams', async () => {
    await using buffering = await brokenNginx((text) =>
      text
        .replace('proxy_buffering off;', 'proxy_buffering on; proxy_ignore_headers X-Accel-Buffering;')
        .replace('proxy_http_version 1.1;', 'proxy_http_version 1.0;'),
    );
    const { code, failed } = await checkDeployment(buffering.url, { nginx: buffering });
    expect(failed).toHaveLength(1);
    expect(failed[0]).toMatch(
      /^FAIL {2}stream: what took \d+ ms to say arrived within \d+ ms: .* buffers it$/,
    );
    expect(code).toBe(1);
  });

  it('names a token that another secret signed', async () => {
    const token = mintToken({ sub: 'smoke' }, 'another-secret-that-signs-nothing-here-0123456789');
    const { code, failed } = await checkDeployment(nginx.url, { nginx, token });
    expect(failed[0]).toMatch(/^FAIL {2}models: status 401 \(invalid_token: /);
    expect(code).toBe(1);
  });

  it('names a certificate that it does not know', async () => {
    const { code, failed } = await checkDeployment(nginx.url);
    expect(failed[0]).toMatch(
      /^FAIL {2}health: no answer \(.*SELF_SIGNED.*\); a private certificate: NODE_EXTRA/,
    );
    expect(code).toBe(1);
  });

  it('names a database that is away, and nobody at all', async () => {
    const alone = await startGateway({
      waitFor: '/health',
      env: { DATABASE_URL: 'postgres://nobody:x@127.0.0.1:1/nowhere', BILLING_OUTAGE_MODE: 'closed' },
    });
    const { code, failed } = await checkDeployment(alone.url);
    expect(failed[0]).toMatch(/^FAIL {2}readiness: status 503 \(database_unavailable: .*database/);
    expect(failed[1]).toBe('FAIL  components: database down');
    expect(failed.join('\n')).toMatch(/^FAIL {2}completion: status 503 \(database_unavailable/m);
    expect(code).toBe(1);
    await alone.stop();
    expect((await checkDeployment(alone.url)).failed[0]).toBe('FAIL  health: no answer (ECONNREFUSED)');
  });
});

describe('TLS', () => {
  it('is where plain HTTP is sent, with its method', async () => {
    const answer = await new Promise<{ status?: number; location?: string }>((resolve, reject) => {
      httpRequest({ port: nginx.plainPort, path: '/v1/models?x=1', method: 'POST' }, (response) => {
        response.resume();
        resolve({ status: response.statusCode, location: response.headers.location });
      })
        .on('error', reject)
        .end();
    });
    expect(answer).toEqual({ status: 308, location: 'https://localhost/v1/models?x=1' });
  });

  it.each([
    ['TLSv1.1', false],
    ['TLSv1.2', true],
    ['TLSv1.3', true],
  ] as const)('%s: accepted %s', async (version, accepted) => {
    const outcome = await new Promise((resolve) => {
      const socket = connectTls({
        port: nginx.port,
        servername: 'localhost',
        ca: nginx.certificate,
        minVersion: version,
        maxVersion: version,
        ciphers: 'DEFAULT@SECLEVEL=0',
      });
      socket.on('secureConnect', () => resolve(socket.getProtocol()));
      socket.on('error', () => resolve('refused'));
    });
    expect(outcome).toBe(accepted ? version : 'refused');
  });

  it('speaks HTTP/2', async () => {
    const session = connectHttp2(nginx.url, { ca: nginx.certificate });
    const status = await new Promise((resolve, reject) => {
      session.on('error', reject);
      session
        .request({ ':path': '/health' })
        .on('response', (headers) => resolve(headers[constants.HTTP2_HEADER_STATUS]))
        .on('error', reject)
        .end();
    });
    session.close();
    expect(status).toBe(200);
  });
});

describe('headers', () => {
  it('for security are there once', async () => {
    const { rawHeaders, headers } = await ask('/health');
    const names = rawHeaders.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase());
    for (const name of [
      'strict-transport-security',
      'content-security-policy',
      'x-content-type-options',
      'x-frame-options',
      'referrer-policy',
      'x-request-id',
    ]) {
      expect(names.filter((other) => other === name)).toEqual([name]);
    }
    expect(headers['server']).toBe('nginx');
    expect(headers['x-powered-by']).toBeUndefined();
  });

  it("keep the client's request id, in the answer and in both logs", async () => {
    const id = 'client-chosen.id:42';
    const answer = await ask('/v1/models', { headers: { 'x-request-id': id } });
    expect(answer.headers['x-request-id']).toBe(id);
    const record = await eventually('nginx logs it', async () =>
      (await nginx.accessLog()).find((line) => line['request_id'] === id),
    );
    expect(record).toMatchObject({ status: 401, path: '/v1/models', client: '127.0.0.1' });
    await eventually('a gateway logs it', () => gateways.some((gateway) => gateway.logs.includes(id)));
  });

  it('get one request id for both when the client has none, or a wild one', async () => {
    for (const headers of [{}, { 'x-request-id': 'x y<script>' }] as Record<string, string>[]) {
      const id = String((await ask('/v1/models', { headers })).headers['x-request-id']);
      expect(id).toMatch(/^[0-9a-f]{32}$/);
      await eventually('nginx logs the same', async () =>
        (await nginx.accessLog()).some((line) => line['request_id'] === id),
      );
    }
  });

  it('tell the gateway who the client is, whatever it says of itself', async () => {
    const id = `forged-${Date.now()}`;
    const forged = {
      authorization: `Bearer ${mintToken({ sub: 'mallory' }, 'another-secret-that-signs-nothing-here-0123456789')}`,
      'x-forwarded-for': '6.6.6.6',
      'x-real-ip': '6.6.6.6',
      forwarded: 'for=6.6.6.6',
      'x-request-id': id,
    };
    expect((await ask('/v1/models', { headers: forged, from: '127.0.0.3' })).status).toBe(401);
    const records = await eventually('a gateway logs the refusal', () => {
      const found = gateways
        .flatMap((gateway) => gateway.logRecords)
        .filter((line) => line['request_id'] === id);
      return found.some((line) => 'client_address' in line) && found;
    });
    expect(records.find((line) => 'client_address' in line)).toMatchObject({ client_address: '127.0.0.3' });
    expect(JSON.stringify(records)).not.toContain('6.6.6.6');
  });
});

describe('from outside', () => {
  it.each([
    '/metrics',
    '/ops',
    '/ops/ops.js',
    '/docs',
    '/docs/',
    '/docs-json',
    '/metrics/',
    '/metrics?x=1',
    '//metrics',
    '/%6detrics',
    '/x/../metrics',
    '/METRICS',
    '/Docs',
    '/metrics%2f',
  ])('%s is closed', async (path) => {
    const answer = await ask(path, { from: '127.0.0.2' });
    expect(answer.status).toBe(403);
    expect(errorOf(answer)).toMatchObject({ type: 'permission_error', code: 'route_closed' });
    expect(answer.headers['x-request-id']).toMatch(/^[0-9a-f]{32}$/);
  });

  it('the routes of clients are open', async () => {
    expect((await ask('/health', { from: '127.0.0.2' })).status).toBe(200);
    expect((await ask('/ready', { from: '127.0.0.2' })).status).toBe(200);
    expect((await ask('/v1/models', { from: '127.0.0.2' })).status).toBe(401);
  });

  it('what is closed is open to this machine', async () => {
    expect((await ask('/metrics')).text).toContain('llm_requests_total');
    expect((await ask('/docs-json')).status).toBe(200);
    expect((await ask('/ops')).status).toBe(200);
  });
});

describe('limits', () => {
  it('let a body of BODY_LIMIT reach the gateway, and not a byte more', async () => {
    const headers = {
      authorization: `Bearer ${mintToken({ sub: 'alice' })}`,
      'content-type': 'application/json',
    };
    const largest = await ask('/v1/chat/completions', {
      method: 'POST',
      headers,
      body: Buffer.alloc(BODY_LIMIT, ' '),
    });
    expect(largest.status).toBe(400);
    const tooLarge = await ask('/v1/chat/completions', {
      method: 'POST',
      headers: { ...headers, 'content-length': String(BODY_LIMIT + 1) },
    }).catch((error: unknown) => error);
    expect(tooLarge).toMatchObject({ status: 413 });
    expect(errorOf(tooLarge as Answer)).toMatchObject({
      type: 'invalid_request_error',
      code: 'body_too_large',
    });
  });

  it("refuse headers before Node would, in the gateway's envelope", async () => {
    expect((await ask('/health', { headers: { 'x-large': 'x'.repeat(6_500) } })).status).toBe(200);
    const answer = await ask('/health', { headers: { 'x-large': 'x'.repeat(8_000) } });
    expect(answer.status).toBe(400);
    expect(errorOf(answer)).toMatchObject({ code: 'invalid_headers' });
    const many = await ask('/health', {
      headers: { 'x-a': 'x'.repeat(6_500), 'x-b': 'x'.repeat(6_500), 'x-c': 'x'.repeat(6_500) },
    });
    expect(many.status).toBe(400);
  });
});

describe('streams', () => {
  it('of more than a minute arrive word by word, and end', async () => {
    const words = Array.from({ length: STREAM_WORDS }, (_, index) => `w${index}`).join(' ');
    const answer = await complete(say(words, { model: 'echo-slow', stream: true, max_tokens: 4_000 }));
    expect(answer.status).toBe(200);
    expect(answer.text.trimEnd().endsWith('data: [DONE]')).toBe(true);
    const arrivals = answer.pieces.map((piece) => piece.atMs);
    const durationMs = arrivals.at(-1) ?? 0;
    const gaps = arrivals.slice(1).map((atMs, index) => atMs - (arrivals[index] ?? 0));
    console.log(
      `stream: ${(durationMs / 1000).toFixed(1)} s, ${arrivals.length} pieces, first after ${arrivals[0]?.toFixed(0)} ms, ` +
        `longest pause ${Math.max(...gaps).toFixed(0)} ms`,
    );
    expect(durationMs).toBeGreaterThan(60_000);
    expect(arrivals.length).toBeGreaterThanOrEqual(STREAM_WORDS);
    expect(Math.max(...gaps)).toBeLessThan(3_000);
    expect(answer.rawHeaders.map((name) => name.toLowerCase())).not.toContain('content-length');
  }, 120_000);

  it('that the client leaves end at the gateway too', async () => {
    const id = `left-${Date.now()}`;
    const leave = new AbortController();
    const outgoing = httpsRequest({
      host: '127.0.0.1',
      servername: 'localhost',
      port: nginx.port,
      path: '/v1/chat/completions',
      method: 'POST',
      ca: nginx.certificate,
      signal: leave.signal,
      headers: {
        authorization: `Bearer ${mintToken({ sub: 'alice' })}`,
        'content-type': 'application/json',
        'x-request-id': id,
      },
    });
    outgoing.on('error', () => undefined);
    outgoing.on('response', (response) => {
      response.on('error', () => undefined);
      response.once('data', () => setTimeout(() => leave.abort(), 500));
    });
    outgoing.end(
      JSON.stringify(
        say('one two three four five six seven eight nine ten', { model: 'echo-slow', stream: true }),
      ),
    );
    const record = await eventually('the gateway notices', () =>
      gateways.flatMap((gateway) => gateway.logRecords).find((line) => line['request_id'] === id),
    );
    expect(record).toMatchObject({ status: 499 });
  });
});

describe('a gateway that', () => {
  it('is killed with a POST in hand: the client is told, and no other gateway ever sees that POST', async () => {
    const id = `hang-${Date.now()}`;
    const hanging = complete(say('hello', { model: 'echo-hang' }), { headers: { 'x-request-id': id } });
    hanging.catch(() => undefined);
    await sleep(1_000);
    const victim = await whoHolds();
    await victim.kill('SIGKILL');
    const answer = await hanging;
    expect(answer.status).toBe(502);
    expect(errorOf(answer)).toMatchObject({ code: 'gateway_unreachable' });
    await sleep(1_000);
    for (const gateway of gateways) {
      expect(gateway.logRecords.filter((line) => line['request_id'] === id)).toEqual([]);
    }
    const record = await eventually('nginx logs it', async () =>
      (await nginx.accessLog()).find((line) => line['request_id'] === id),
    );
    expect(record['upstream']).toBe(`127.0.0.1:${victim.port}`);
    await victim.start();
  });

  it('is away costs nobody a request: the others are tried', async () => {
    const [first] = gateways;
    await first?.kill('SIGKILL');
    const answers = await Promise.all(Array.from({ length: 30 }, () => complete(say('hello'))));
    expect(answers.map((answer) => answer.status)).toEqual(Array(30).fill(200));
    await first?.start();
  });
});

/** The gateway with a completion in flight, by its own metrics. */
async function whoHolds(): Promise<Gateway> {
  for (const gateway of gateways) {
    const text = await (await gateway.fetch('/metrics')).text();
    if (/^llm_gateway_holds_open [1-9]/m.test(text)) return gateway;
  }
  throw new Error('no gateway holds money for a request');
}

describe('a rolling restart under load', () => {
  it('fails no request, cuts no stream, and leaves the books in balance', async () => {
    const load = new Load();
    await sleep(2_000);
    for (const gateway of gateways) {
      await gateway.restart();
      await sleep(1_500);
    }
    await sleep(2_000);
    const outcomes = await load.stop();
    const failed = outcomes.filter((outcome) => outcome !== 'ok');
    console.log(
      `rolling restart: ${outcomes.length} requests over nginx, ${failed.length} failed`,
      failed.slice(0, 5),
    );
    expect(outcomes.length).toBeGreaterThan(200);
    expect(failed).toEqual([]);
    const audit = await run(process.execPath, ['dist/src/cli.js', 'audit:ledger'], {
      cwd: PROJECT,
      env: { ...process.env, ...environment, JWT_SECRET_KEY: TEST_JWT_SECRET },
    });
    expect(audit.stdout).toContain('the books balance');
    const [charged] = await database.query<{ count: string }>(
      "SELECT count(*) FROM ledger WHERE kind = 'charge' AND user_id = 'roller'",
    );
    expect(Number(charged?.count)).toBe(outcomes.length);
  }, 180_000);
});

/** Twelve clients, whole answers and streams by turns, on kept-alive connections. */
class Load {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 12 });
  readonly #outcomes: string[] = [];
  readonly #clients: Promise<void>[];
  readonly #stopped = new AbortController();

  constructor() {
    this.#clients = Array.from({ length: 12 }, (_, index) => this.#client(index));
  }

  async stop(): Promise<readonly string[]> {
    this.#stopped.abort();
    await Promise.all(this.#clients);
    this.#agent.destroy();
    return this.#outcomes;
  }

  async #client(index: number): Promise<void> {
    for (let turn = 0; !this.#stopped.signal.aborted; turn++) {
      const stream = (turn + index) % 2 === 0;
      this.#outcomes.push(await this.#once(stream));
      await sleep(20);
    }
  }

  async #once(stream: boolean): Promise<string> {
    try {
      const answer = await complete(say('one two three four five', { stream }), {
        agent: this.#agent,
        user: 'roller',
      });
      if (answer.status !== 200) return `${answer.status} ${answer.text.slice(0, 200)}`;
      if (stream && !answer.text.trimEnd().endsWith('data: [DONE]')) return `cut: ${answer.text.slice(-200)}`;
      return 'ok';
    } catch (error) {
      return error instanceof Error
        ? `${error.message} ${'code' in error ? String(error.code) : ''}`
        : String(error);
    }
  }
}
