import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { FaultProxy } from './fault-proxy.js';

/** An echo server behind a proxy. */
let server: Server;
let proxy: FaultProxy;
beforeAll(async () => {
  server = createServer((socket) => socket.on('error', () => undefined).pipe(socket)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  proxy = await FaultProxy.start(`127.0.0.1:${(server.address() as AddressInfo).port}`);
});
afterEach(() => proxy.heal());
afterAll(async () => {
  await proxy.stop();
  server.close();
});

async function open(): Promise<Socket> {
  const socket = connect(proxy.port, '127.0.0.1');
  await once(socket, 'connect');
  return socket;
}

/** What comes back within `ms`, and how it ended. */
async function listen(socket: Socket, ms: number): Promise<{ text: string; end: 'open' | 'fin' | 'reset' }> {
  const got: Buffer[] = [];
  let end: 'open' | 'fin' | 'reset' = 'open';
  socket.on('data', (data: Buffer) => got.push(data));
  socket.on('end', () => (end = 'fin'));
  socket.on('error', () => (end = 'reset'));
  await new Promise((resolve) => setTimeout(resolve, ms));
  socket.destroy();
  return { text: Buffer.concat(got).toString(), end };
}

it('passes everything on when nothing is wrong', async () => {
  const socket = await open();
  socket.end('hello');
  expect(await listen(socket, 100)).toEqual({ text: 'hello', end: 'fin' });
});

it('delays', async () => {
  proxy.faults = { down: { latencyMs: 120 } };
  const socket = await open();
  const startMs = performance.now();
  socket.write('x');
  await once(socket, 'data');
  expect(performance.now() - startMs).toBeGreaterThan(115);
  socket.destroy();
});

it('slices, and keeps the order', async () => {
  proxy.faults = { down: { sliceBytes: 1 } };
  const socket = await open();
  socket.write('abcdefgh');
  expect(await listen(socket, 150)).toEqual({ text: 'abcdefgh', end: 'open' });
});

it('throttles', async () => {
  proxy.faults = { down: { bandwidth: 100, sliceBytes: 10 } };
  const socket = await open();
  socket.write('x'.repeat(100));
  const { text } = await listen(socket, 400);
  expect(text.length).toBeGreaterThan(10);
  expect(text.length).toBeLessThan(70);
});

it.each([
  ['stalls', { stallAfterBytes: 3 }, 'open'],
  ['cuts', { cutAfterBytes: 3 }, 'fin'],
  ['resets', { resetAfterBytes: 3 }, 'reset'],
] as const)('%s after so many bytes', async (_what, down, end) => {
  proxy.faults = { down };
  const socket = await open();
  socket.write('abcdef');
  const seen = await listen(socket, 150);
  expect(seen.end).toBe(end);
  // a reset may overtake what was sent before it
  if (end !== 'reset') expect(seen.text).toBe('abc');
});

it('swallows, and resets what it swallowed when healed', async () => {
  proxy.faults = { up: { blackhole: true } };
  const socket = await open();
  socket.write('abc');
  setTimeout(() => proxy.heal(), 80);
  expect(await listen(socket, 200)).toEqual({ text: '', end: 'reset' });
});

it('hangs half-open', async () => {
  proxy.faults = { halfOpen: true };
  const socket = await open();
  socket.write('abc');
  expect(await listen(socket, 100)).toEqual({ text: '', end: 'open' });
});

it('refuses, and accepts again on the same port', async () => {
  const socket = await open();
  const ended = once(socket, 'close').catch(() => undefined);
  socket.on('error', () => undefined);
  await proxy.refuse();
  await ended;
  await expect(open()).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  await proxy.accept();
  (await open()).destroy();
});
