import { mkdtemp, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  createDatabase,
  eventually,
  FakeUpstream,
  type Gateway,
  readEvents,
  startGateway,
  type TestDatabase,
} from '@app/testing';
import { Client } from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';

const overloaded = (retryAfter: string) => ({
  status: 503,
  headers: { 'retry-after': retryAfter },
  body: { json: { error: { message: 'busy', type: 'server_error', param: null, code: null } } },
});

describe('between the hold and the first event', () => {
  let cheap: FakeUpstream;
  let dear: FakeUpstream;
  /** Accepts connections and says nothing: a TLS handshake with it does not end. */
  let silent: Server;
  const connected: Socket[] = [];
  let database: TestDatabase;
  let gateway: Gateway;
  let path: string;
  let user = '';
  let users = 0;

  beforeAll(async () => {
    [cheap, dear, database] = await Promise.all([
      FakeUpstream.start(),
      FakeUpstream.start(),
      createDatabase(),
    ]);
    silent = createServer((socket) => {
      connected.push(socket.on('error', () => undefined));
    }).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    path = join(await mkdtemp(join(inject('runDirectory'), 'leaving-')), 'gateway.yaml');
    await writeFile(path, file(true));
    gateway = await startGateway({
      env: {
        DATABASE_URL: database.url,
        GATEWAY_CONFIG: path,
        FAKE_API_KEY: 'sk-test',
        RETRY_MAX_DELAY: '10',
        CIRCUIT_BREAKER_ENABLED: 'false',
      },
    });
  });
  afterAll(async () => {
    await gateway?.stop();
    for (const socket of connected) socket.destroy();
    silent?.close();
    await Promise.all([cheap?.stop(), dear?.stop()]);
    await database?.drop();
  });
  beforeEach(async () => {
    await Promise.all([cheap.reset(), dear.reset()]);
    user = `user-${++users}`;
  });

  const file = (withDear: boolean): string => `
providers:
  cheap: { type: openai-compatible, base_url: "${cheap.url}/v1", api_key_env: FAKE_API_KEY }
  ${withDear ? `dear: { type: openai-compatible, base_url: "${dear.url}/v1", api_key_env: FAKE_API_KEY }` : ''}
  silent: { type: openai-compatible, base_url: "https://127.0.0.1:${(silent.address() as AddressInfo).port}/v1" }
models:
  single: { targets: [{ provider: cheap, model: m }], price: { input_per_million: "100", output_per_million: "1" } }
  unreachable: { targets: [{ provider: silent, model: m }], price: { input_per_million: "100", output_per_million: "1" } }
  ${
    withDear
      ? `both:
    targets:
      - { provider: cheap, model: m, price: { input_per_million: "100", output_per_million: "1" } }
      - { provider: dear, model: m, weight: 0, price: { input_per_million: "700", output_per_million: "1" } }
  alone: { targets: [{ provider: dear, model: m }], price: { input_per_million: "1", output_per_million: "1" } }`
      : ''
  }
`;

  const ask = (model: string, signal: AbortSignal | null = null, stream = true): Promise<Response> =>
    gateway.fetch('/v1/chat/completions', {
      method: 'POST',
      as: user,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model, stream, messages: [{ role: 'user', content: 'one two three' }] }),
      signal,
    });

  /** Resolves when the request of a client that has left is over. */
  async function leave(
    model: string,
    ready: () => Promise<unknown>,
    stream = true,
    afterwards: () => Promise<unknown> = () => Promise.resolve(),
  ): Promise<void> {
    const client = new AbortController();
    const before = left();
    const asked = ask(model, client.signal, stream).catch(() => undefined);
    await ready();
    client.abort();
    await asked;
    await afterwards();
    await eventually('the request is over', () => left() > before);
  }

  const left = (): number => gateway.logs.split('"status":499').length - 1;

  /** With what is still on its way to the books: the answer about the balance waits for that. */
  async function charges(): Promise<{ provider: string }[]> {
    expect((await gateway.fetch('/billing/balance', { as: user })).status).toBe(200);
    return database.query<{ provider: string }>(
      `SELECT provider FROM ledger WHERE user_id = $1 AND kind = 'charge'`,
      [user],
    );
  }

  const asked = (upstream: FakeUpstream) => () =>
    eventually('the provider is asked', async () => (await upstream.completions()).length > 0);

  it('a client that leaves while a provider thinks pays for what that one read', async () => {
    await cheap.answerAlways({ delayMs: 10_000, body: { builtIn: true } });
    await leave('single', asked(cheap));
    await eventually('the charge', async () => (await charges()).length === 1);
  });

  it('a client that leaves between two calls pays nothing: the provider refused the first', async () => {
    await cheap.answerAlways(overloaded('8'));
    await leave('single', async () => {
      await asked(cheap)();
      // Of the eight seconds that the provider asks for.
      await sleep(1_000);
    });
    expect(await cheap.completions()).toHaveLength(1);
    expect(await charges()).toEqual([]);
  });

  it('a client that leaves before the connection stands pays nothing', async () => {
    await leave('unreachable', () => eventually('it is dialled', () => connected.length > 0));
    expect(await charges()).toEqual([]);
  });

  it.each([
    ['a stream', true],
    ['a whole answer', false],
  ])(
    '%s of a client that leaves while its money is held is not asked for, and free',
    async (_what, stream) => {
      const blocker = new Client({ connectionString: database.url });
      await blocker.connect();
      await blocker.query('BEGIN');
      await blocker.query('LOCK TABLE account IN EXCLUSIVE MODE');
      const isWaiting = async () =>
        (await database.query(`SELECT FROM pg_locks WHERE relation = 'account'::regclass AND NOT granted`))
          .length > 0;
      await leave(
        'single',
        () => eventually('its money waits', isWaiting),
        stream,
        async () => {
          // Until the gateway knows that the client has left.
          await sleep(300);
          await blocker.query('COMMIT');
        },
      );
      await blocker.end();
      expect(await cheap.completions()).toEqual([]);
      expect(await charges()).toEqual([]);
    },
  );

  it('of two providers with the same name for a model, the one that was asked is paid', async () => {
    await cheap.answerAlways(overloaded('1'));
    await dear.answerAlways({ delayMs: 10_000, body: { builtIn: true } });
    await leave('both', asked(dear));
    const rows = await eventually('the charge', async () => {
      const found = await charges();
      return found.length > 0 && found;
    });
    expect(rows).toMatchObject([{ provider: 'dear' }]);
  });

  it('a stream goes on whose provider is taken away before it begins, and ends with its charge', async () => {
    await dear.answerAlways({ delayMs: 1500, body: { builtIn: true } });
    const answer = ask('alone');
    await asked(dear)();
    await writeFile(path, file(false));
    process.kill(gateway.pid ?? 0, 'SIGHUP');
    await eventually('the reload', () => gateway.logs.includes('was reloaded and is in force'));
    const response = await answer;
    expect(response.status).toBe(200);
    let last = '';
    for await (const { data } of readEvents(response)) last = data;
    expect(last).toBe('[DONE]');
    await eventually('the charge', async () => (await charges()).length === 1);
    expect((await ask('alone')).status).toBe(404);
  });
});
