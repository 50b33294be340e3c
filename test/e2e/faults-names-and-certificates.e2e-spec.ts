import { createDatabase, FakeUpstream, type Gateway, startGateway, type TestDatabase } from '@app/testing';
import { once } from 'node:events';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { outcomes, see, seeAtOnce } from '../support/measure-load.js';
import { type Certificate, makeCertificate } from '../support/test-certificates.js';

const CONNECT_SECONDS = 1;

describe('a provider whose name or certificate is wrong', () => {
  const servers: Server[] = [];
  const sockets = new Set<Socket>();
  let upstream: FakeUpstream;
  let database: TestDatabase;
  let gateway: Gateway;

  beforeAll(async () => {
    upstream = await FakeUpstream.start();
    database = await createDatabase();
    const authority = makeCertificate({ host: 'authority.example' });
    const stranger = makeCertificate({ host: 'stranger.example' });
    const made = (host: string, issuer: Certificate, validForMs?: number) =>
      tlsPort(makeCertificate({ host, issuer, ...(validForMs === undefined ? {} : { validForMs }) }));
    const urls = {
      good: `https://localhost:${await made('localhost', authority)}/v1`,
      expired: `https://localhost:${await made('localhost', authority, -3_600_000)}/v1`,
      'wrong-host': `https://localhost:${await made('other.example', authority)}/v1`,
      stranger: `https://localhost:${await made('localhost', stranger)}/v1`,
      stalled: `https://localhost:${await silentPort()}/v1`,
      'no-tls': `https://localhost:${upstream.port}/v1`,
      nowhere: 'https://no-such-provider.invalid/v1',
    };
    const folder = await mkdtemp(join(inject('runDirectory'), 'certificates-'));
    await writeFile(join(folder, 'authority.pem'), authority.cert);
    await writeFile(join(folder, 'gateway.yaml'), gatewayFile(urls));
    gateway = await startGateway({
      env: {
        ...upstream.env,
        OPENAI_BASE_URL: 'http://no-such-provider.invalid/v1',
        DATABASE_URL: database.url,
        NODE_EXTRA_CA_CERTS: join(folder, 'authority.pem'),
        GATEWAY_CONFIG: join(folder, 'gateway.yaml'),
        TLS_TEST_KEY: 'sk-over-tls',
        RATE_LIMIT_REQUESTS_PER_MINUTE: '100000',
        RETRY_BASE_DELAY: '0.01',
        RETRY_MAX_ATTEMPTS: '2',
        CONNECT_TIMEOUT_SECONDS: String(CONNECT_SECONDS),
        CIRCUIT_BREAKER_ENABLED: 'false',
      },
    });
  });
  beforeEach(() => upstream.reset());
  afterAll(async () => {
    await gateway?.stop();
    for (const server of servers) server.close();
    for (const socket of sockets) socket.destroy();
    await upstream?.stop();
    await database?.drop();
  });

  /** TLS with this certificate, and behind it the fake upstream. */
  function tlsPort({ cert, key }: Certificate): Promise<number> {
    return listen(
      createTlsServer({ cert, key }, (client: TLSSocket) => {
        const backend = connect(upstream.port, '127.0.0.1');
        for (const socket of [client, backend]) socket.on('error', () => client.destroy());
        keep(backend);
        client.pipe(backend).pipe(client);
      }).on('tlsClientError', () => undefined),
    );
  }

  /** Accepts, and never shakes hands. */
  function silentPort(): Promise<number> {
    return listen(createServer());
  }

  async function listen(server: Server): Promise<number> {
    servers.push(server);
    server.on('connection', keep).listen(0, 'localhost');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  }

  function keep(socket: Socket): void {
    socket.on('error', () => undefined);
    sockets.add(socket);
  }

  const ask = (model: string, user: string = model): Promise<Response> =>
    gateway.complete({ model, messages: [{ role: 'user', content: 'hello' }] }, user);

  async function spentOf(user: string): Promise<unknown> {
    const balance = (await (await gateway.fetch('/billing/balance', { as: user })).json()) as Record<
      string,
      unknown
    >;
    return { balance: balance['balance'], held: balance['held'] };
  }

  it('control: the same way with a good certificate', async () => {
    expect(await see(() => ask('good'))).toMatchObject({ status: 200 });
    expect(await upstream.completions()).toHaveLength(1);
  });

  it.each(['nowhere', 'gpt-4o-mini', 'expired', 'wrong-host', 'stranger', 'no-tls'])(
    '%s: an error of its own kind, soon, nothing sent, nothing charged, no address told',
    async (model) => {
      const startedMs = performance.now();
      const response = await ask(model);
      const text = await response.text();
      expect(performance.now() - startedMs).toBeLessThan(5_000);
      expect(response.status).toBe(503);
      expect(Number(response.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
      expect(JSON.parse(text)).toMatchObject({
        error: { type: 'overloaded_error', code: 'provider_overloaded' },
      });
      expect(text).not.toMatch(/localhost|127\.0\.0\.1|\.invalid|sk-/);
      expect(await upstream.completions()).toEqual([]);
      expect(await spentOf(model)).toEqual({ balance: 100, held: 0 });
    },
  );

  it('a handshake that stalls is given up after the time to connect', async () => {
    const seen = await see(() => ask('stalled'));
    expect(seen).toMatchObject({ status: 503, code: 'provider_overloaded' });
    expect(seen.ms).toBeGreaterThan(CONNECT_SECONDS * 900);
    // Two calls, each with the second to connect and what undici's coarse clock adds.
    expect(seen.ms).toBeLessThan(8_000);
  }, 15_000);

  it.each(['nowhere', 'expired', 'stalled'])(
    '%s with another way to be answered: that one is taken',
    async (name) => {
      const response = await ask(`${name}-or-else`);
      expect(response.status).toBe(200);
      expect(response.headers.get('x-gateway-provider')).toBe('anthropic');
      expect(await upstream.completions()).toHaveLength(1);
    },
    15_000,
  );

  it('twenty at once for a name that does not exist: all are answered, others meanwhile as well', async () => {
    const [lost, others] = await Promise.all([
      seeAtOnce(20, 20, () => ask('nowhere')),
      seeAtOnce(20, 4, () => ask('claude-haiku-4-5')),
    ]);
    expect(outcomes(lost)).toEqual({ '503 provider_overloaded': 20 });
    expect(outcomes(others)).toEqual({ '200': 20 });
  });
});

function gatewayFile(urls: Record<string, string>): string {
  const price = '{ input_per_million: "1", output_per_million: "2" }';
  const names = Object.keys(urls);
  const model = (id: string, provider: string, more = '') =>
    `  ${id}: { targets: [{ provider: ${provider}, model: m }], price: ${price}, context_window: 8192, max_output_tokens: 512${more} }`;
  return [
    'providers:',
    ...names.map(
      (name) =>
        `  ${name}: { type: openai-compatible, base_url: "${urls[name]}", api_key_env: TLS_TEST_KEY }`,
    ),
    'models:',
    ...names.map((name) => model(name, name)),
    ...names.map((name) => model(`${name}-or-else`, name, ', fallbacks: [claude-haiku-4-5]')),
  ].join('\n');
}
