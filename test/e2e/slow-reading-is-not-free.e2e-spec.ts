import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  createDatabase,
  eventually,
  type Gateway,
  mintToken,
  startGateway,
  type TestDatabase,
} from '@app/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';

const FRAMES = 400;

function frame(finishReason: string | null): string {
  const chunk = {
    id: 'chatcmpl-long',
    object: 'chat.completion.chunk',
    created: 1,
    model: 'gpt-4o-mini',
    system_fingerprint: 'x'.repeat(finishReason === null ? 64 * 1024 : 8),
    choices: [{ index: 0, delta: { content: 'word ' }, finish_reason: finishReason }],
  };
  return `data: ${JSON.stringify(chunk)}\n\n`;
}

let provider: Server;
let database: TestDatabase;
let gateway: Gateway;

beforeAll(async () => {
  provider = createServer((request, response) => {
    request.resume();
    if (request.method !== 'POST') return void response.end('{"object":"list","data":[]}');
    response.on('error', () => undefined);
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (let index = 0; index < FRAMES; index++) response.write(frame(null));
    response.end(`${frame('stop')}data: [DONE]\n\n`);
  }).listen(0, '127.0.0.1');
  await once(provider, 'listening');
  database = await createDatabase();
  gateway = await startGateway({
    env: {
      DATABASE_URL: database.url,
      OPENAI_API_KEY: 'sk-long',
      OPENAI_BASE_URL: `http://127.0.0.1:${(provider.address() as AddressInfo).port}/v1`,
      REQUEST_TIMEOUT_SECONDS: '2',
    },
  });
});
afterAll(async () => {
  await gateway?.stop();
  provider?.close();
  provider?.closeAllConnections();
  await database?.drop();
});

/** Its first bytes are there, and it reads no more for now. */
async function askAndPause(user: string, headers = ''): Promise<{ socket: Socket; text: () => string }> {
  const body = JSON.stringify({
    model: 'gpt-4o-mini',
    stream: true,
    messages: [{ role: 'user', content: 'hi' }],
  });
  const socket = connect(gateway.port, '127.0.0.1').on('error', () => undefined);
  let text = '';
  socket.setEncoding('latin1').on('data', (data: string) => (text = (text + data).slice(-2000)));
  socket.write(
    `POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer ${mintToken({ sub: user })}\r\n` +
      `${headers}content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  await eventually('it has begun', () => text !== '');
  socket.pause();
  return { socket, text: () => text };
}

const endOf = (user: string) =>
  eventually(
    'the end',
    async () => {
      const [hold] = await database.query<{
        state: string;
        usage_source: string;
        usage: { outputTokens: number };
      }>(
        `SELECT state, usage_source, usage FROM hold LEFT JOIN ledger ON ledger.hold_id = hold.id
          WHERE hold.user_id = $1 AND state <> 'open'`,
        [user],
      );
      return hold;
    },
    10_000,
  );

it('an answer that is read too slowly for the time there is costs what came of it', async () => {
  const { socket, text } = await askAndPause('slow');
  await sleep(2500);
  socket.resume();
  await eventually('the error', () => text().includes('"code":"request_timeout"'), 10_000);
  socket.destroy();
  const end = await endOf('slow');
  expect(end).toMatchObject({ state: 'captured', usage_source: 'own' });
  expect(end.usage.outputTokens).toBeGreaterThan(0);
});

it('a client that reads no more and does not leave is left, some seconds after the time is over', async () => {
  const [plain, keyed] = await Promise.all([
    askAndPause('never'),
    askAndPause('never-keyed', 'idempotency-key: unread\r\n'),
  ]);
  const end = await endOf('never');
  expect(end).toMatchObject({ state: 'captured', usage_source: 'own' });
  expect(end.usage.outputTokens).toBeGreaterThan(0);
  expect(await endOf('never-keyed')).toMatchObject({ state: 'released', usage_source: null });
  for (const { socket } of [plain, keyed]) {
    socket.resume();
    await eventually('the connection is closed', () => socket.destroyed);
  }
  expect(plain.text()).not.toContain('request_timeout');
});
