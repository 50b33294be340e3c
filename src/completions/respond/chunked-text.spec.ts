import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { Agent, request } from 'undici';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ChunkedText } from './chunked-text.js';

const PIECES = ['data: {"a":1}\n\n', 'data: "é — 你好 🙂"\n\n', 'x'.repeat(70_000), 'data: [DONE]\n\n'];

let server: Server;
let port: number;

beforeEach(async () => {
  server = createServer((_incoming, response) => {
    response.flushHeaders();
    const pieces = new ChunkedText(response);
    for (const piece of PIECES.slice(0, -1)) pieces.write(piece);
    pieces.end(PIECES.at(-1)!);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  port = (server.address() as AddressInfo).port;
});
afterEach(() => new Promise((resolve) => server.close(resolve)));

describe('a text in chunks', () => {
  it('arrives as it was, and leaves the connection to the next request', async () => {
    const agent = new Agent({ connections: 1 });
    let connections = 0;
    server.on('connection', () => (connections += 1));
    for (let time = 0; time < 3; time += 1) {
      const { body, headers } = await request(`http://127.0.0.1:${port}`, { dispatcher: agent });
      expect(headers['transfer-encoding']).toBe('chunked');
      expect(await body.text()).toBe(PIECES.join(''));
    }
    expect(connections).toBe(1);
    await agent.close();
  });

  it('is one chunk a piece', async () => {
    const raw = await ask('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    const frames = PIECES.map((piece) => `${Buffer.byteLength(piece).toString(16)}\r\n${piece}\r\n`);
    expect(raw.slice(raw.indexOf('\r\n\r\n') + 4)).toBe(`${frames.join('')}0\r\n\r\n`);
  });

  it('is plain text for a client of HTTP/1.0, which knows no chunks', async () => {
    const raw = await ask('GET / HTTP/1.0\r\n\r\n');
    expect(raw).not.toMatch(/transfer-encoding/i);
    expect(raw.slice(raw.indexOf('\r\n\r\n') + 4)).toBe(PIECES.join(''));
  });
});

function ask(head: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.write(head);
  return text(socket);
}
