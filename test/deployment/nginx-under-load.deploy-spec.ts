import { Agent, request as httpsRequest } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually, type Gateway, mintToken, TEST_JWT_SECRET } from '@app/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PROJECT, run } from './programs.js';
import { errorOf, say, Site } from './site.js';

/** `echo-slow` waits 20 times this before each word: a word a second. */
const ECHO_DELAY_MS = 50;
const STREAM_WORDS = 130;

let site: Site;

beforeAll(async () => {
  site = await Site.start({ ECHO_DELAY_MS: String(ECHO_DELAY_MS) });
});
afterAll(() => site?.[Symbol.asyncDispose]());

const complete: Site['complete'] = (...parameters) => site.complete(...parameters);

describe('streams', () => {
  it('of more than two minutes arrive word by word, and end', async () => {
    const words = Array.from({ length: STREAM_WORDS }, (_, index) => `w${index}`).join(' ');
    const answer = await complete(say(words, { model: 'echo-slow', stream: true, max_tokens: 4_000 }));
    expect(answer.status).toBe(200);
    expect(answer.text.trimEnd().endsWith('data: [DONE]')).toBe(true);
    const arrivals = answer.pieces.map((piece) => piece.atMs);
    const durationMs = arrivals.at(-1) ?? 0;
    const gaps = arrivals.slice(1).map((atMs, index) => atMs - (arrivals[index] ?? 0));
    console.log(
      `stream: ${(durationMs / 1000).toFixed(1)} s, ${arrivals.length} pieces, first after ${arrivals[0]?.toFixed(0)} ms, ` +
        `longest pause ${Math.max(...gaps).toFixed(0)} ms`,
    );
    expect(durationMs).toBeGreaterThan(120_000);
    expect(arrivals.length).toBeGreaterThanOrEqual(STREAM_WORDS);
    expect(Math.max(...gaps)).toBeLessThan(3_000);
    expect(answer.rawHeaders.map((name) => name.toLowerCase())).not.toContain('content-length');
  }, 200_000);

  it('that the client leaves end at the gateway too', async () => {
    const id = `left-${Date.now()}`;
    const leave = new AbortController();
    const outgoing = httpsRequest({
      host: '127.0.0.1',
      servername: 'localhost',
      port: site.nginx.port,
      path: '/v1/chat/completions',
      method: 'POST',
      ca: site.nginx.certificate,
      signal: leave.signal,
      headers: {
        authorization: `Bearer ${mintToken({ sub: 'alice' })}`,
        'content-type': 'application/json',
        'x-request-id': id,
      },
    });
    outgoing.on('error', () => undefined);
    outgoing.on('response', (response) => {
      response.on('error', () => undefined);
      response.once('data', () => setTimeout(() => leave.abort(), 500));
    });
    outgoing.end(
      JSON.stringify(
        say('one two three four five six seven eight nine ten', { model: 'echo-slow', stream: true }),
      ),
    );
    const record = await eventually('the gateway notices', () =>
      site.gateways.flatMap((gateway) => gateway.logRecords).find((line) => line['request_id'] === id),
    );
    expect(record).toMatchObject({ status: 499 });
  });
});

describe('a gateway that', () => {
  it('is killed with a POST in hand: the client is told, and no other gateway ever sees that POST', async () => {
    const id = `hang-${Date.now()}`;
    const hanging = complete(say('hello', { model: 'echo-hang' }), { headers: { 'x-request-id': id } });
    hanging.catch(() => undefined);
    await sleep(1_000);
    const victim = await whoHolds();
    await victim.kill('SIGKILL');
    const answer = await hanging;
    expect(answer.status).toBe(502);
    expect(errorOf(answer)).toMatchObject({ code: 'gateway_unreachable' });
    await sleep(1_000);
    for (const gateway of site.gateways) {
      expect(gateway.logRecords.filter((line) => line['request_id'] === id)).toEqual([]);
    }
    const record = await eventually('nginx logs it', async () =>
      (await site.nginx.accessLog()).find((line) => line['request_id'] === id),
    );
    expect(record['upstream']).toBe(`127.0.0.1:${victim.port}`);
    await victim.start();
  });

  it('is away costs nobody a request: the others are tried', async () => {
    const [first] = site.gateways;
    await first?.kill('SIGKILL');
    const answers = await Promise.all(Array.from({ length: 30 }, () => complete(say('hello'))));
    expect(answers.map((answer) => answer.status)).toEqual(Array(30).fill(200));
    await first?.start();
  });
});

/** The gateway with a completion in flight, by its own metrics. */
async function whoHolds(): Promise<Gateway> {
  for (const gateway of site.gateways) {
    const text = await (await gateway.fetch('/metrics')).text();
    if (/^llm_gateway_holds_open [1-9]/m.test(text)) return gateway;
  }
  throw new Error('no gateway holds money for a request');
}

describe('a rolling restart under load', () => {
  it('fails no request, cuts no stream, and leaves the books in balance', async () => {
    const load = new Load();
    await sleep(2_000);
    for (const gateway of site.gateways) {
      await gateway.restart();
      await sleep(1_500);
    }
    await sleep(2_000);
    const outcomes = await load.stop();
    const failed = outcomes.filter((outcome) => outcome !== 'ok');
    console.log(
      `rolling restart: ${outcomes.length} requests over nginx, ${failed.length} failed`,
      failed.slice(0, 5),
    );
    expect(outcomes.length).toBeGreaterThan(200);
    expect(failed).toEqual([]);
    const audit = await run(process.execPath, ['dist/src/cli.js', 'audit:ledger'], {
      cwd: PROJECT,
      env: { ...process.env, ...site.environment, JWT_SECRET_KEY: TEST_JWT_SECRET },
    });
    expect(audit.stdout).toContain('the books balance');
    const [charged] = await site.database.query<{ count: string }>(
      "SELECT count(*) FROM ledger WHERE kind = 'charge' AND user_id = 'roller'",
    );
    expect(Number(charged?.count)).toBe(outcomes.length);
  }, 180_000);
});

/** Twelve clients, whole answers and streams by turns, on kept-alive connections. */
class Load {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 12 });
  readonly #outcomes: string[] = [];
  readonly #clients: Promise<void>[];
  readonly #stopped = new AbortController();

  constructor() {
    this.#clients = Array.from({ length: 12 }, (_, index) => this.#client(index));
  }

  async stop(): Promise<readonly string[]> {
    this.#stopped.abort();
    await Promise.all(this.#clients);
    this.#agent.destroy();
    return this.#outcomes;
  }

  async #client(index: number): Promise<void> {
    for (let turn = 0; !this.#stopped.signal.aborted; turn++) {
      const stream = (turn + index) % 2 === 0;
      this.#outcomes.push(await this.#once(stream));
      await sleep(20);
    }
  }

  async #once(stream: boolean): Promise<string> {
    try {
      const answer = await complete(say('one two three four five', { stream }), {
        agent: this.#agent,
        user: 'roller',
      });
      if (answer.status !== 200) return `${answer.status} ${answer.text.slice(0, 200)}`;
      if (stream && !answer.text.trimEnd().endsWith('data: [DONE]')) return `cut: ${answer.text.slice(-200)}`;
      return 'ok';
    } catch (error) {
      return error instanceof Error
        ? `${error.message} ${'code' in error ? String(error.code) : ''}`
        : String(error);
    }
  }
}
