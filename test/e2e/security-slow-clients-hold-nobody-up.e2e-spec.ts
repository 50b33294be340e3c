import {
  createDatabase,
  expectErrorEnvelope,
  type Gateway,
  mintToken,
  startGateway,
  type TestDatabase,
} from '@app/testing';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { residentMiB } from '../security/process-memory.js';
import { parseResponses } from '../security/raw-http.js';

const AUTH = `Authorization: Bearer ${mintToken({ sub: 'mallory' })}\r\n`;
const POST = 'POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n';

let database: TestDatabase;
let gateway: Gateway;

beforeAll(async () => {
  database = await createDatabase();
  gateway = await startGateway({
    env: {
      DATABASE_URL: database.url,
      RATE_LIMIT_REQUESTS_PER_MINUTE: '100000',
      RATE_LIMIT_REQUESTS_PER_HOUR: '1000000',
    },
  });
});
afterAll(async () => {
  await gateway.stop();
  await database.drop();
});

/** A client that sends its request byte by byte and is never done. */
class SlowClient {
  readonly #socket: Socket;
  readonly #startedMs = performance.now();
  #text = '';
  /** How long it was tolerated; `undefined` while it still is. */
  lastedMs: number | undefined;

  constructor(head: string, drop: string) {
    this.#socket = connect({ port: gateway.port, host: '127.0.0.1' });
    this.#socket.write(head);
    const timer = setInterval(() => this.#socket.write(drop), 500);
    this.#socket.on('data', (data) => (this.#text += data.toString('latin1')));
    this.#socket.on('error', () => undefined);
    this.#socket.on('close', () => {
      clearInterval(timer);
      this.lastedMs = performance.now() - this.#startedMs;
    });
  }

  get answer(): { status: number; body: string } | undefined {
    return parseResponses(this.#text)[0];
  }

  end(): void {
    this.#socket.destroy();
  }
}

const many = (count: number, head: string, drop: string): SlowClient[] =>
  Array.from({ length: count }, () => new SlowClient(head, drop));

/** Good completions one after the other for so long; how long they took, ms, in order of size. */
async function goodTraffic(forMs: number): Promise<number[]> {
  const times: number[] = [];
  const untilMs = performance.now() + forMs;
  while (performance.now() < untilMs) {
    const startedMs = performance.now();
    const response = await gateway.complete({ model: 'echo', messages: [{ role: 'user', content: 'Hi' }] });
    expect(response.status, await response.text()).toBe(200);
    times.push(performance.now() - startedMs);
    await sleep(5);
  }
  return times.sort((one, other) => one - other);
}

const p99 = (sorted: readonly number[]): number => sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN;

describe('a thousand clients that never end their requests', () => {
  it('take nothing from the others, and are shown out', async () => {
    await goodTraffic(1_500);
    const before = p99(await goodTraffic(3_000));
    const restMiB = await residentMiB(gateway.pid);

    const slowHeaders = many(600, `${POST}X-Slow: `, 'x');
    const unknownBodies = many(200, `${POST}Content-Length: 100000\r\n\r\n{`, ' ');
    const knownBodies = many(200, `${POST}${AUTH}Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n`, '1\r\n \r\n');
    const during = p99(await goodTraffic(13_000));
    const attackMiB = await residentMiB(gateway.pid);
    console.log(
      `p99 of good completions: ${before.toFixed(1)} ms alone, ${during.toFixed(1)} ms beside 1,000 slow clients; ` +
        `${(attackMiB - restMiB).toFixed(0)} MiB more resident`,
    );

    // The bound leaves room for a busy machine; the figure is what counts.
    expect(during).toBeLessThan(Math.max(10 * before, 250));
    expect(attackMiB - restMiB).toBeLessThan(150);
    for (const client of slowHeaders) {
      expect(client.answer?.status).toBe(408);
      expect(client.lastedMs).toBeLessThan(13_500);
    }
    expectErrorEnvelope(JSON.parse(slowHeaders[0]?.answer?.body ?? ''));
    // Whoever shows no token is not listened to at all.
    for (const client of unknownBodies) {
      expect(client.answer?.status).toBe(401);
      expect(client.lastedMs).toBeLessThan(5_000);
    }
    // A known client may be slow, for a minute; it costs a socket and the few bytes it has sent.
    for (const client of knownBodies) {
      expect(client.lastedMs).toBeUndefined();
      client.end();
    }
  });
});
