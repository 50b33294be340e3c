import {
  createDatabase,
  eventually,
  FakeUpstream,
  type Gateway,
  startGateway,
  type TestDatabase,
} from '@app/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseMetricsText } from '../../src/ops/parse-metrics-text.js';

let database: TestDatabase;
let upstream: FakeUpstream;
let gateway: Gateway;

beforeAll(async () => {
  database = await createDatabase();
  upstream = await FakeUpstream.start();
  gateway = await startGateway({
    env: { ...upstream.env, DATABASE_URL: database.url, METRICS_MAX_USERS: '5', RETRY_ENABLED: 'false' },
  });
});
afterAll(async () => {
  await gateway.stop();
  await upstream.stop();
  await database.drop();
});

const hello = (model: string) => ({ model, messages: [{ role: 'user', content: 'hello' }] });

async function samples(from: Gateway, init: RequestInit = {}) {
  const response = await from.fetch('/metrics', init);
  expect(response.status).toBe(200);
  return parseMetricsText(await response.text());
}

async function value(from: Gateway, name: string, labels: Record<string, string>): Promise<number> {
  const matching = (await samples(from)).filter(
    (sample) =>
      sample.name === name && Object.entries(labels).every(([key, wanted]) => sample.labels[key] === wanted),
  );
  return matching.reduce((sum, sample) => sum + sample.value, 0);
}

describe('/metrics', () => {
  it('is Prometheus text with the promised names', async () => {
    await gateway.complete(hello('gpt-4'));
    await gateway.complete({ ...hello('gpt-4'), stream: true }).then((response) => response.text());
    await upstream.answerNext({ status: 500, body: { json: { error: { message: 'no' } } } });
    await gateway.complete(hello('claude-3'));
    // the balance is told by the settlement, which may follow the answer by some ms
    await eventually('the settled balance', async () =>
      (await samples(gateway)).some(({ name }) => name === 'user_balance'),
    );
    const page = await gateway.fetch('/metrics');
    expect(page.headers.get('content-type')).toContain('text/plain; version=0.0.4');
    const text = await page.text();
    expect(text).toMatch(/^llm_requests_total\{model="gpt-4",provider="openai",status="200"\} 2$/m);
    expect(text).toMatch(/^llm_requests_duration_seconds_count\{model="gpt-4",provider="openai"\} 2$/m);
    expect(text).toMatch(
      /^llm_requests_errors_total\{model="claude-3[^"]*",provider="anthropic",code="\w+"\} 1$/m,
    );
    expect(text).toMatch(/^user_balance\{user_id="alice"\} \d+\.\d+$/m);
    expect(text).toMatch(/^rate_limit_requests_total\{scope="\w+",outcome="allowed"\} \d+$/m);
    expect(text).toMatch(/^gen_ai_server_time_to_first_token_seconds_count\{[^}]*\} 1$/m);
    expect(text).toMatch(/^process_resident_memory_bytes \d+/m);
    expect(text).toMatch(/^llm_gateway_holds_open \d+$/m);
    expect(text).toMatch(/^llm_gateway_journal_unsettled_records \d+$/m);
    const types = text.match(/^# TYPE .*$/gm) ?? [];
    expect(new Set(types).size).toBe(types.length);
  });

  it('counts what the ledger charged', async () => {
    const bodies = await Promise.all(
      Array.from({ length: 5 }, () => gateway.complete(hello('gpt-4'), 'carol')),
    );
    const charged = bodies.reduce((sum, response) => sum + Number(response.headers.get('x-request-cost')), 0);
    expect(charged).toBeGreaterThan(0);
    const { transactions } = (await (
      await gateway.fetch('/billing/transactions?limit=50', { as: 'carol' })
    ).json()) as { transactions: { amount: number; type: string }[] };
    const booked = transactions
      .filter(({ type }) => type === 'charge')
      .reduce((sum, { amount }) => sum - amount, 0);
    expect(booked).toBeCloseTo(charged, 9);
  });

  it('lets clients create no series: not by model, not by path, not by user', async () => {
    const before = (await samples(gateway)).length;
    for (let i = 0; i < 30; i++) {
      await (await gateway.complete(hello(`no-such-model-${i}`), `user-${i}`)).text();
      await (await gateway.complete(hello('echo'), `user-${i}`)).text();
      await (await gateway.fetch(`/no/such/path/${i}`)).text();
    }
    const after = await samples(gateway);
    expect(after.filter(({ name }) => name === 'user_balance').length).toBeLessThanOrEqual(5);
    expect(
      after.some(({ labels }) => Object.values(labels).some((label) => label.includes('no-such-model'))),
    ).toBe(false);
    expect(
      after.some(({ labels }) => Object.values(labels).some((label) => label.includes('/no/such'))),
    ).toBe(false);
    // echo and `unknown` are new models; nothing else grew
    expect(after.length - before).toBeLessThan(250);
    expect(await value(gateway, 'llm_requests_total', { model: 'unknown' })).toBe(30);
  });

  it('counts a client that left as 499', async () => {
    await upstream.builtIn({ chunkDelayMs: 100, words: 50 });
    const leaving = new AbortController();
    const response = await gateway.fetch('/v1/chat/completions', {
      method: 'POST',
      as: 'dave',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ...hello('claude-3'), stream: true }),
      signal: leaving.signal,
    });
    await response.body?.getReader().read();
    leaving.abort();
    await eventually(
      'the 499',
      async () => (await value(gateway, 'llm_requests_total', { status: '499' })) === 1,
      10_000,
    );
    await upstream.reset();
  });
});

describe('the door of /metrics', () => {
  it('opens to METRICS_TOKEN only, when that is set', async () => {
    await using closed = await startGateway({
      env: { DATABASE_URL: database.url, METRICS_TOKEN: 'a-metrics-token-of-some-length' },
    });
    expect((await closed.fetch('/metrics')).status).toBe(401);
    expect((await closed.fetch('/metrics', { as: { sub: 'root', role: 'admin' } })).status).toBe(401);
    const wrong = await closed.fetch('/metrics', {
      headers: { authorization: 'Bearer a-metrics-token-of-some-lengtH' },
    });
    expect(wrong.status).toBe(401);
    expect(await wrong.json()).toMatchObject({ error: { type: 'authentication_error' } });
    const refusals = () => closed.logRecords.filter(({ stream }) => stream === 'audit');
    await eventually('the lines', () => refusals().length >= 3);
    expect(refusals()).toMatchObject([
      { code: 'missing_token', path: '/metrics' },
      { code: 'invalid_token', path: '/metrics' },
      { code: 'invalid_token', path: '/metrics' },
    ]);
    const right = await closed.fetch('/metrics', {
      headers: { authorization: 'Bearer a-metrics-token-of-some-length' },
    });
    expect(right.status).toBe(200);
  });

  it('is not there with PROMETHEUS_ENABLED=false', async () => {
    await using without = await startGateway({
      env: { DATABASE_URL: database.url, PROMETHEUS_ENABLED: 'false' },
    });
    expect((await without.fetch('/metrics')).status).toBe(404);
  });
});

describe('several workers', () => {
  it('are one page: whichever answers, the sum over all; and it never falls when one is killed', async () => {
    await using many = await startGateway({
      env: { ...upstream.env, DATABASE_URL: database.url, WORKERS: '2' },
    });
    const total = () => value(many, 'llm_requests_total', { status: '200' });
    for (let i = 0; i < 20; i++) {
      const response = await many.fetch('/v1/chat/completions', {
        method: 'POST',
        as: `user-${i}`,
        headers: { 'content-type': 'application/json', connection: 'close' },
        body: JSON.stringify(hello('gpt-4')),
      });
      expect(response.status).toBe(200);
    }
    const readings = await Promise.all(Array.from({ length: 10 }, total));
    expect(readings).toEqual(Array.from({ length: 10 }, () => 20));
    expect(await value(many, 'llm_gateway_workers', {})).toBe(2);

    const system = (await (await many.fetch('/health/system')).json()) as { pid: number };
    expect(system.pid).not.toBe(many.pid);
    process.kill(system.pid, 'SIGKILL');
    await eventually(
      'a new worker',
      async () => (await value(many, 'llm_gateway_workers', {})) === 2,
      30_000,
      250,
    );
    expect(await total()).toBe(20);
  });
});
