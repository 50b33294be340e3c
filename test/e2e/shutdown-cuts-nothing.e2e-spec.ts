import {
  createDatabase,
  eventually,
  FakeUpstream,
  type Gateway,
  mintToken,
  readEvents,
  startGateway,
  type TestDatabase,
} from '@app/testing';
import { HELD_BY_REQUESTS } from '../../src/billing/accounts/account-statements.js';
import { createServer, type Server, type Socket, connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/** A layer-4 balancer: the next backend that accepts, for each connection. */
function balance(ports: readonly number[]): Promise<{ server: Server; port: number }> {
  let turn = 0;
  const dial = (client: Socket, tries: number): void => {
    const backend = connect(ports[turn++ % ports.length] ?? 0, '127.0.0.1');
    const refused = (): void => void (tries > 0 ? dial(client, tries - 1) : client.destroy());
    backend.once('error', refused);
    backend.once('connect', () => {
      backend.off('error', refused);
      backend.on('error', () => client.destroy());
      backend.on('close', () => client.end());
      client.on('error', () => backend.destroy());
      client.pipe(backend).pipe(client);
    });
  };
  const server = createServer((client) => {
    client.on('error', () => undefined);
    dial(client, ports.length * 4);
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      resolve({ server, port: typeof address === 'object' && address ? address.port : 0 });
    });
  });
}

/** More than what lies between a provider and a client that reads nothing. */
function largeStream(): string {
  const frame = (finishReason: string | null): string =>
    `data: ${JSON.stringify({
      id: 'chatcmpl-large',
      object: 'chat.completion.chunk',
      created: 1,
      model: 'gpt-4o-mini',
      system_fingerprint: 'x'.repeat(64 * 1024),
      choices: [{ index: 0, delta: { content: 'word ' }, finish_reason: finishReason }],
    })}\n\n`;
  return `${frame(null).repeat(400)}${frame('stop')}data: [DONE]\n\n`;
}

describe('shutdown', () => {
  let upstream: FakeUpstream;
  let database: TestDatabase;
  const started: Gateway[] = [];

  beforeAll(async () => {
    upstream = await FakeUpstream.start();
    database = await createDatabase();
  });
  afterAll(async () => {
    await Promise.all(started.map((gateway) => gateway.stop()));
    await upstream?.stop();
    await database?.drop();
  });

  const start = async (env: Record<string, string> = {}): Promise<Gateway> => {
    const gateway = await startGateway({
      env: {
        ...upstream.env,
        DATABASE_URL: database.url,
        RATE_LIMIT_REQUESTS_PER_MINUTE: '1000000',
        RATE_LIMIT_REQUESTS_PER_HOUR: '10000000',
        ...env,
      },
    });
    started.push(gateway);
    return gateway;
  };

  const body = (more: Record<string, unknown> = {}): string =>
    JSON.stringify({ model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'hello' }], ...more });

  it('lets a stream finish, is not ready meanwhile, and exits 0', async () => {
    await upstream.builtIn({ chunkDelayMs: 60, words: 30 });
    const gateway = await start();
    const response = await gateway.complete(JSON.parse(body({ stream: true })) as Record<string, unknown>);
    const events: string[] = [];
    let stopped: Promise<number | null> | undefined;
    for await (const { data } of readEvents(response)) {
      events.push(data);
      if (events.length === 3) stopped = gateway.stop();
    }
    expect(events.at(-1)).toBe('[DONE]');
    expect(await stopped).toBe(0);
  });

  it('ends what outlasts the grace with an error event, and gives its hold back', async () => {
    await upstream.builtIn({ chunkDelayMs: 200, words: 200 });
    const gateway = await start({ SHUTDOWN_GRACE_SECONDS: '1' });
    const response = await gateway.complete(
      JSON.parse(body({ stream: true })) as Record<string, unknown>,
      'late',
    );
    const events: string[] = [];
    let stopped: Promise<number | null> | undefined;
    for await (const { data } of readEvents(response)) {
      events.push(data);
      if (events.length === 3) stopped = gateway.stop();
    }
    expect(JSON.parse(events.at(-1) ?? '')).toMatchObject({ error: { code: 'draining' } });
    expect(await stopped).toBe(0);
    const [account] = await database.query<{ held_nano: string }>(
      `SELECT held_nano FROM account WHERE user_id = 'late'`,
    );
    expect(account?.held_nano).toBe('0');
  });

  /** Of requests whose hold is over. */
  const endsOf = (users: readonly string[]): Promise<Record<string, string>[]> =>
    database.query(
      `SELECT hold.user_id, hold.state, hold.outcome, unknown_cost.reason AS noted
         FROM hold LEFT JOIN unknown_cost ON unknown_cost.hold_id = hold.id
        WHERE hold.user_id = ANY($1) ORDER BY hold.user_id`,
      [users],
    );

  it('what outlasts the grace costs nobody anything, read or not, and the operator gets a row for it', async () => {
    await upstream.builtIn({ chunkDelayMs: 20, words: 2000 });
    const gateway = await start({ SHUTDOWN_GRACE_SECONDS: '1' });
    const ask = (user: string, more = {}): Socket => {
      const text = body({ stream: true, ...more });
      const socket = connect(gateway.port, '127.0.0.1').on('error', () => undefined);
      socket.write(
        `POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer ${mintToken({ sub: user })}\r\n` +
          `content-type: application/json\r\ncontent-length: ${text.length}\r\n\r\n${text}`,
      );
      return socket;
    };
    const reader = ask('cut-reader');
    await new Promise((resolve) => reader.once('data', resolve));
    reader.resume();
    await upstream.answerNext({ body: { text: largeStream(), contentType: 'text/event-stream' } });
    const nonReader = ask('cut-unread');
    await new Promise((resolve) => nonReader.once('data', resolve));
    nonReader.pause();
    const silence = { kind: 'stall', afterBytes: 'before-headers' } as const;
    for (const _ of [1, 2]) await upstream.answerNext({ body: { builtIn: true }, fault: silence });
    const asked = (await upstream.completions()).length;
    ask('cut-unanswered');
    ask('cut-whole', { stream: false });
    await eventually('they are asked', async () => (await upstream.completions()).length === asked + 2);
    expect(await gateway.stop()).toBe(0);
    nonReader.destroy();
    const cut = { state: 'released', outcome: 'draining', noted: 'draining' };
    expect(await endsOf(['cut-reader', 'cut-unread', 'cut-unanswered', 'cut-whole'])).toEqual([
      { user_id: 'cut-reader', ...cut },
      { user_id: 'cut-unanswered', ...cut },
      { user_id: 'cut-unread', ...cut },
      { user_id: 'cut-whole', ...cut },
    ]);
  });

  it('a second signal exits at once', async () => {
    await upstream.builtIn({ chunkDelayMs: 200, words: 200 });
    const gateway = await start();
    const response = await gateway.complete(JSON.parse(body({ stream: true })) as Record<string, unknown>);
    await response.body?.getReader().read();
    const stopped = gateway.stop();
    await sleep(300);
    const secondMs = performance.now();
    await gateway.kill('SIGTERM');
    expect(await stopped).toBe(1);
    expect(performance.now() - secondMs).toBeLessThan(1000);
  });

  it('a rolling restart of three instances under load fails no request and cuts no stream', async () => {
    await upstream.builtIn({ chunkDelayMs: 5, words: 20 });
    const gateways = await Promise.all([start(), start(), start()]);
    const { server, port } = await balance(gateways.map((gateway) => gateway.port));
    const token = mintToken({ sub: 'roller' });
    const state = { running: true, done: 0, failed: [] as string[] };
    const client = async (index: number): Promise<void> => {
      while (state.running) {
        const isStream = (index + state.done) % 2 === 0;
        try {
          const response = await fetch(`http://127.0.0.1:${port}/v1/chat/completions`, {
            method: 'POST',
            headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
            body: body({ stream: isStream }),
          });
          const text = await response.text();
          const isGood = response.status === 200 && (!isStream || text.trimEnd().endsWith('[DONE]'));
          if (!isGood) state.failed.push(`${response.status} ${text.slice(-200)}`);
          state.done++;
        } catch (error) {
          state.failed.push(String((error as Error).cause ?? error));
        }
      }
    };
    const clients = Array.from({ length: 8 }, (_, index) => client(index));
    await sleep(500);
    for (const gateway of gateways) await gateway.restart();
    await sleep(500);
    state.running = false;
    await Promise.all(clients);
    server.close();
    expect(state.failed).toEqual([]);
    expect(state.done).toBeGreaterThan(50);
    // A charge is safe before its answer ends, and in the ledger some 50 ms later (settler.service.ts).
    const sums = await eventually('every hold is settled', async () => {
      const [found] = await database.query<{ held: string; charges: string }>(
        `SELECT (SELECT ${HELD_BY_REQUESTS} FROM account WHERE user_id = 'roller') AS held,
              (SELECT count(*) FROM ledger WHERE user_id = 'roller' AND kind = 'charge') AS charges`,
      );
      return found?.held === '0' && Number(found.charges) >= state.done && found;
    });
    expect(sums).toEqual({ held: '0', charges: String(state.done) });
  }, 120_000);
});
