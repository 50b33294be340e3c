import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
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

it('an answer that is read too slowly for the time there is costs what came of it', async () => {
  const body = JSON.stringify({
    model: 'gpt-4o-mini',
    stream: true,
    messages: [{ role: 'user', content: 'hi' }],
  });
  const socket = connect(gateway.port, '127.0.0.1').on('error', () => undefined);
  let text = '';
  socket.setEncoding('latin1').on('data', (data: string) => (text = (text + data).slice(-2000)));
  socket.write(
    `POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer ${mintToken({ sub: 'slow' })}\r\n` +
      `content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  await eventually('it has begun', () => text !== '');
  socket.pause();
  await sleep(2500);
  socket.resume();
  await eventually('the error', () => text.includes('"code":"request_timeout"'), 10_000);
  socket.destroy();
  const rows = await eventually('the charge', async () => {
    const found = await database.query<{ usage_source: string; usage: { outputTokens: number } }>(
      `SELECT usage_source, usage FROM ledger WHERE user_id = 'slow' AND kind = 'charge'`,
    );
    return found.length > 0 && found;
  });
  expect(rows).toHaveLength(1);
  expect(rows[0]!.usage_source).toBe('own');
  expect(rows[0]!.usage.outputTokens).toBeGreaterThan(0);
});
