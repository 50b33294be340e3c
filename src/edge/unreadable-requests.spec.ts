import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { guardServer } from './unreadable-requests.js';

const server = createServer();

beforeAll(async () => {
  guardServer(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterAll(() => {
  server.close();
  server.closeAllConnections();
});

/** Reads the answer, and leaves its own side of the connection open. */
async function refusedHalfOpen(bytes: string): Promise<{ client: Socket; answer: string }> {
  const { port } = server.address() as AddressInfo;
  const client = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  let answer = '';
  client.setEncoding('utf8').on('data', (text: string) => (answer += text));
  client.write(bytes);
  await once(client, 'end');
  return { client, answer };
}

const openConnections = (): Promise<number> =>
  new Promise((resolve) => server.getConnections((_error, count) => resolve(count)));

describe('a client that never closes its connection', () => {
  it.each([
    ['what is no HTTP', 'no HTTP at all\r\n\r\n', 400],
    ['headers without an end', `GET / HTTP/1.1\r\nX: ${'a'.repeat(17 * 1024)}`, 431],
  ])('is shown out, having read why: %s', async (_what, bytes, status) => {
    const { client, answer } = await refusedHalfOpen(bytes);
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    await expect.poll(openConnections, { timeout: 3_000 }).toBe(0);
    client.destroy();
  });
});
