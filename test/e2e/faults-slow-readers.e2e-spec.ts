import {
  createDatabase,
  eventually,
  type Gateway,
  mintToken,
  startGateway,
  type TestDatabase,
} from '@app/testing';
import { HELD_BY_REQUESTS } from '../../src/billing/accounts/account-statements.js';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { outcomes, percentileMs, type Seen, see } from '../support/measure-load.js';

/** Their unread answers fill the kernel's buffers for TCP, which all sockets share: more would starve the others. */
const READERS = 100;
/** Taken by a reader at once; then it rests for a second. */
const READ_BYTES = 64;
const KIB = 1_024;
/** What fills the sockets stands in a field that is passed on and kept by nobody. */
const FRAME_KIB = 32;
const FRAMES = 192;
/** An answer without the frames' own JSON: far more than the buffers on its way through the gateway may hold. */
const ANSWER_KIB = FRAMES * FRAME_KIB;

/** A provider that says all it has at once, whoever listens. The kernel takes it from there. */
class TalkativeProvider {
  // It does not hang up by itself: a connection that ends was ended by the gateway.
  readonly #server: Server = createServer({ keepAliveTimeout: 120_000 }, (request, response) => {
    request.resume();
    if (request.method !== 'POST') return void response.end('{"object":"list","data":[]}');
    response.on('error', () => undefined);
    response.writeHead(200, {
      'content-type': 'text/event-stream',
      connection: 'keep-alive',
      // What the gateway has read to the end it may let go of soon.
      'keep-alive': 'timeout=3',
    });
    for (let index = 0; index < FRAMES; index++) response.write(frame({ content: 'a' }, null));
    response.end(`${frame({}, 'stop')}data: [DONE]\n\n`);
  });

  async start(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1`;
  }

  connections(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.getConnections((error, count) => (error ? reject(error) : resolve(count)));
    });
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

function frame(delta: { content?: string }, finishReason: string | null): string {
  const chunk = {
    id: 'chatcmpl-talkative',
    object: 'chat.completion.chunk',
    created: 1,
    model: 'gpt-4o-mini',
    system_fingerprint: 'x'.repeat(finishReason === null ? FRAME_KIB * KIB : 8),
    choices: [{ index: 0, delta, finish_reason: finishReason }],
  };
  return `data: ${JSON.stringify(chunk)}\n\n`;
}

/** A client that reads a few bytes a second. */
class SlowReader {
  takenBytes = 0;
  isClosed = false;
  /** What came last. */
  tail = '';
  #hurries = false;
  readonly #socket: Socket;
  readonly #timer: NodeJS.Timeout;

  constructor(gateway: Gateway, user: string) {
    this.#socket = connect({
      port: gateway.port,
      host: '127.0.0.1',
      // A buffer this small and a pause after each filling: the kernel's buffer fills up, then the gateway's.
      onread: {
        buffer: Buffer.alloc(READ_BYTES),
        callback: (bytes, buffer) => {
          this.takenBytes += bytes;
          this.tail = (this.tail + Buffer.from(buffer.subarray(0, bytes)).toString('latin1')).slice(-64);
          return this.#hurries;
        },
      },
    });
    this.#socket.on('error', () => undefined);
    this.#socket.on('close', () => (this.isClosed = true));
    const body = JSON.stringify({
      model: 'gpt-4o-mini',
      stream: true,
      messages: [{ role: 'user', content: 'hello' }],
    });
    this.#socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer ${mintToken({ sub: user })}\r\n` +
        `content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    this.#timer = setInterval(() => this.#socket.resume(), 1_000);
  }

  /** From now on as fast as can be, with a buffer this small. */
  hurry(): void {
    this.#hurries = true;
    this.#socket.resume();
  }

  leave(): void {
    clearInterval(this.#timer);
    this.#socket.destroy();
  }
}

describe(`${READERS} clients that read ${READ_BYTES} bytes a second`, () => {
  const provider = new TalkativeProvider();
  let database: TestDatabase;
  let gateway: Gateway;
  let readers: SlowReader[] = [];

  beforeAll(async () => {
    database = await createDatabase();
    gateway = await startGateway({
      env: {
        DATABASE_URL: database.url,
        OPENAI_API_KEY: 'sk-endless',
        OPENAI_BASE_URL: await provider.start(),
        ECHO_DELAY_MS: '0',
        RATE_LIMIT_REQUESTS_PER_MINUTE: '100000',
        RATE_LIMIT_REQUESTS_PER_HOUR: '1000000',
        // Far shorter than the test: who waits for a slow client is not waiting for a slow provider.
        STREAM_IDLE_TIMEOUT_SECONDS: '3',
        STREAM_HEARTBEAT_SECONDS: '0.2',
      },
    });
    for (let index = 0; index < 20; index++) await see(echo);
  });
  afterAll(async () => {
    for (const reader of readers) reader.leave();
    await gateway?.stop();
    provider.stop();
    await database?.drop();
  });

  const echo = (): Promise<Response> =>
    gateway.complete({ model: 'echo', messages: [{ role: 'user', content: 'hello' }] }, 'quick');

  async function rssKib(): Promise<number> {
    const report = (await (await gateway.fetch('/health/system')).json()) as {
      memory: { rss_bytes: number };
    };
    return report.memory.rss_bytes / KIB;
  }

  it('cost a bounded memory each; the provider is made to wait, and is not taken for slow', async () => {
    const before = await rssKib();
    readers = Array.from({ length: READERS }, (_, index) => new SlowReader(gateway, `slow-${index % 20}`));
    await eventually('all have begun', () => readers.every(({ takenBytes }) => takenBytes > 0), 20_000);
    let highest = 0;
    const quick: Seen[] = [];
    for (let second = 0; second < 5; second++) {
      await sleep(1_000);
      highest = Math.max(highest, await rssKib());
      quick.push(await see(echo));
    }
    expect(readers.filter(({ isClosed }) => isClosed)).toEqual([]);
    expect(gateway.logs).not.toContain('stream_idle_timeout');
    expect(await provider.connections()).toBeGreaterThanOrEqual(READERS);
    const perStreamKib = (highest - before) / READERS;
    // What was sent and not read waits outside of the gateway.
    expect(perStreamKib).toBeLessThan(ANSWER_KIB / 3);
    expect(outcomes(quick)).toEqual({ '200': 5 });
    expect(percentileMs(quick, 1)).toBeLessThan(1_000);
  }, 60_000);

  it('get the whole answer when they read on', async () => {
    const [reader] = readers;
    reader!.hurry();
    await eventually('the end', () => reader!.tail.includes('data: [DONE]'), 15_000);
    expect(reader!.takenBytes).toBeGreaterThan(ANSWER_KIB * KIB);
  });

  it('are let go of when they leave: every upstream call ends', async () => {
    for (const reader of readers) reader.leave();
    await eventually(
      'no connection to the provider is open',
      async () => (await provider.connections()) === 0,
      10_000,
    );
    await eventually('every hold is given back', async () => {
      return (await database.query(`SELECT 1 FROM account WHERE ${HELD_BY_REQUESTS} > 0`)).length === 0;
    });
  });
});
