import {
  createDatabase,
  eventually,
  FakeUpstream,
  type Gateway,
  mintToken,
  startGateway,
  startRedis,
  type TestDatabase,
  type TestRedis,
} from '@app/testing';
import { Redis } from 'ioredis';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RecordingServer, until } from '../support/recording-server.js';

/** Unique texts of this run, each put where such a text belongs. */
const CANARY = {
  prompt: 'canary-prompt-3f9a1c',
  system: 'canary-system-77d20b',
  tool: 'canary-tool-argument-0c4e',
  openaiKey: 'sk-canary-openai-5b81e2f04d',
  anthropicKey: 'sk-ant-canary-anthropic-9917ac',
  googleKey: 'AIzaCanaryGoogle0123456789abcdefghijk',
  langfuseSecret: 'sk-lf-canary-langfuse-1a2b3c',
  jwtSecret: 'canary-jwt-secret-canary-jwt-secret-canary',
  queryKey: 'canary-query-key-445566',
} as const;
/** In the answers of the provider, which are the client's and nobody else's. */
const ANSWER = 'canary-answer-b81f';

let database: TestDatabase;
let redis: TestRedis;
let upstream: FakeUpstream;
let sentry: RecordingServer;
let langfuse: RecordingServer;
let gateway: Gateway;
const token = mintToken({ sub: 'alice' }, CANARY.jwtSecret);

beforeAll(async () => {
  database = await createDatabase();
  redis = await startRedis();
  upstream = await FakeUpstream.start();
  sentry = await RecordingServer.start('{}');
  langfuse = await RecordingServer.start('{"successes":[],"errors":[]}');
  gateway = await startGateway({
    env: {
      ...upstream.env,
      DATABASE_URL: database.url,
      REDIS_URL: redis.url,
      RATE_LIMIT_STORAGE: 'redis',
      OPENAI_API_KEY: CANARY.openaiKey,
      ANTHROPIC_API_KEY: CANARY.anthropicKey,
      GOOGLE_GEMINI_API_KEY: CANARY.googleKey,
      JWT_SECRET_KEY: CANARY.jwtSecret,
      DEBUG: 'true',
      LOG_LEVEL: 'debug',
      SENTRY_DSN: `http://public@127.0.0.1:${sentry.port}/1`,
      SENTRY_TRACES_SAMPLE_RATE: '1',
      LANGFUSE_ENABLED: 'true',
      LANGFUSE_PUBLIC_KEY: 'pk-lf-test',
      LANGFUSE_SECRET_KEY: CANARY.langfuseSecret,
      LANGFUSE_HOST: langfuse.url,
      RETRY_ENABLED: 'false',
      APP_VERSION: '7.8.9',
    },
  });
});
afterAll(async () => {
  await gateway.stop();
  await upstream.stop();
  await sentry.stop();
  await langfuse.stop();
  await redis.kill();
  await database.drop();
});

function post(body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  return gateway.fetch(`/v1/chat/completions?api_key=${CANARY.queryKey}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}`, ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
}

function request(model: string, changes: Record<string, unknown> = {}) {
  return {
    model,
    messages: [
      { role: 'system', content: CANARY.system },
      { role: 'user', content: CANARY.prompt },
    ],
    user: CANARY.prompt,
    stop: [CANARY.tool],
    metadata: { note: CANARY.tool },
    ...changes,
  };
}

/** @returns what the refused and failed ones were answered */
async function everyKindOfRequest(): Promise<string> {
  const json = { 'content-type': 'application/json' };
  /** A provider that repeats what it was sent, the key included. */
  const echoes = (key: string) => ({
    error: { message: `bad: ${CANARY.prompt} with key ${key}`, type: 'x', code: 'y' },
  });
  const answers: string[] = [];
  const errors: string[] = [];
  answers.push(await (await post(request('gpt-4'), { 'x-request-id': 'receipt-1' })).text());
  const keys = {
    'gpt-4': CANARY.openaiKey,
    'claude-3': CANARY.anthropicKey,
    'gemini-1.5-pro': CANARY.googleKey,
  };
  for (const [model, key] of Object.entries(keys)) {
    answers.push(await (await post(request(model))).text());
    answers.push(await (await post(request(model, { stream: true }))).text());
    for (const status of [400, 401, 429, 500]) {
      await upstream.answerNext({ status, headers: json, body: { json: echoes(key) } });
      errors.push(await (await post(request(model))).text());
    }
    await upstream.answerNext({ body: { text: `<html>${ANSWER} ${CANARY.prompt}</html>` } });
    errors.push(await (await post(request(model))).text());
    await upstream.answerNext({ body: { builtIn: true }, fault: { kind: 'reset', afterBytes: 60 } });
    errors.push(await (await post(request(model, { stream: true }))).text().catch(() => ''));
  }
  for (const refused of [
    post(`{"model": "gpt-4", "messages": [${CANARY.prompt}`),
    post(request(CANARY.prompt)),
    post(request('gpt-4', { messages: CANARY.prompt })),
    gateway.fetch('/v1/models', { headers: { authorization: `Bearer ${token}x` } }),
    gateway.fetch(`/nowhere?key=${CANARY.queryKey}`),
  ]) {
    errors.push(await (await refused).text());
  }
  expect(answers.join('')).toContain(CANARY.prompt.slice(0, 6)); // the fake answers with the prompt's words
  return errors.join('\n');
}

/** Every row of every table, and what the server shows of our connections. */
async function databaseText(): Promise<string> {
  const tables = await database.query<{ name: string }>(
    `SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`,
  );
  expect(tables.map(({ name }) => name)).toContain('public.ledger');
  const rows = await Promise.all(
    [...tables.map(({ name }) => name), 'pg_stat_activity'].map((name) =>
      database.query<{ row: string }>(`SELECT '${name} ' || row_to_json(t)::text AS row FROM ${name} t`),
    ),
  );
  return rows
    .flat()
    .map(({ row }) => row)
    .join('\n');
}

/** Every file that the gateway keeps: the journal. */
async function filesText(): Promise<string> {
  const entries = await readdir(gateway.dataDir, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const texts = files.map(({ parentPath, name }) => readFile(join(parentPath, name), 'latin1'));
  return (await Promise.all(texts)).join('\n');
}

async function redisText(): Promise<string> {
  const client = new Redis(redis.url);
  const keys = await client.keys('*');
  const values = await Promise.all(keys.map((key) => client.dumpBuffer(key)));
  await client.quit();
  return [...keys, ...values.map((value) => value?.toString('latin1'))].join('\n');
}

/** What `ps` shows of it to everybody on the machine. */
async function processText(): Promise<string> {
  const files = ['cmdline', 'comm'].map((name) => readFile(`/proc/${gateway.pid}/${name}`, 'utf8'));
  return (await Promise.all(files)).join('\n');
}

function found(text: string): string[] {
  const tokenParts = [token, token.split('.')[1] ?? '', token.split('.')[2] ?? ''];
  return [...Object.values(CANARY), ...tokenParts, ANSWER].filter((canary) => text.includes(canary));
}

/** The lines of the envelope that tells of this request. */
function envelopeOf(requestId: string): Record<string, unknown>[] {
  const envelope = sentry.requests.find(({ body }) => body.includes(`"request_id":"${requestId}"`));
  return (envelope?.body ?? '')
    .split('\n')
    .map((line) => JSON.parse(line || '{}') as Record<string, unknown>);
}

describe('logs, metrics, health pages, Sentry and Langfuse', () => {
  it('hold no prompt, no answer, no key and no token, whatever happens to a request', async () => {
    const errors = await everyKindOfRequest();
    await until(() => sentry.requests.length > 5 && langfuse.requests.length > 0, 10_000);
    await eventually('all traces', () => langfuse.bodies.includes('gemini'), 10_000);
    const pages = await Promise.all(
      [
        '/metrics',
        '/health/detailed',
        '/health/circuit-breakers',
        '/health/history',
        '/health/system',
        '/ready',
      ].map(async (path) => (await gateway.fetch(path)).text()),
    );
    const receipt = await gateway.fetch('/billing/requests/receipt-1', {
      headers: { authorization: `Bearer ${token}` },
    });
    expect(receipt.status).toBe(200);
    pages.push(await receipt.text());
    const kept = { database: await databaseText(), files: await filesText(), redis: await redisText() };
    const shown = process.platform === 'linux' ? await processText() : '';
    await gateway.stop();
    expect(found(gateway.logs)).toEqual([]);
    // A client is told what the provider said to its own prompt; the operator's secrets are nobody's.
    const { prompt: _own, ...secrets } = CANARY;
    expect(found(errors).filter((canary) => Object.values(secrets).includes(canary as never))).toEqual([]);
    expect(found(kept.database)).toEqual([]);
    expect(found(kept.files)).toEqual([]);
    expect(found(kept.redis)).toEqual([]);
    expect(found(shown)).toEqual([]);
    expect(found(await databaseText())).toEqual([]);
    expect(found(pages.join('\n'))).toEqual([]);
    expect(found(sentry.bodies)).toEqual([]);
    expect(found(langfuse.bodies)).toEqual([]);
    // the search looked at something
    expect(gateway.logRecords.filter(({ message }) => message === 'completion').length).toBeGreaterThan(20);
    expect(pages.join('')).toContain('llm_requests_total');
    expect(kept.database).toContain('"provider" : "anthropic"'.replaceAll(' ', ''));
    expect(kept.files).toContain('"claude-3');
    expect(kept.redis).toContain('alice');
    expect(sentry.bodies).toContain('"release":"7.8.9"');
    expect(sentry.bodies).toContain('"type":"transaction"');
    expect(langfuse.bodies).toContain('"type":"generation-create"');
    await gateway.start();
  });

  it('tell of one request under one id', async () => {
    sentry.requests.length = 0;
    langfuse.requests.length = 0;
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const response = await post(request('gpt-4'), { 'x-request-id': 'one-id', traceparent });
    await response.text();
    await until(() => sentry.requests.length > 0 && langfuse.requests.length > 0, 10_000);
    expect(gateway.logRecords.filter((line) => line['request_id'] === 'one-id')).toMatchObject([
      {
        level: 'info',
        message: 'completion',
        model: 'gpt-4',
        user_id: 'alice',
        provider: 'openai',
        status: 200,
        traceparent,
      },
    ]);
    expect(sentry.bodies).toContain('"request_id":"one-id"');
    expect(sentry.bodies).toContain('0af7651916cd43dd8448eb211c80319c');
    const [, , transaction] = envelopeOf('one-id');
    expect(transaction).toMatchObject({
      type: 'transaction',
      release: '7.8.9',
      environment: 'test',
      user: { id: 'alice' },
      contexts: {
        trace: { trace_id: '0af7651916cd43dd8448eb211c80319c', parent_span_id: 'b7ad6b7169203331' },
      },
    });
    const spans = transaction?.['spans'] as { op: string }[];
    expect(spans.map(({ op }) => op)).toEqual(
      expect.arrayContaining([
        'gateway.auth',
        'gateway.limits',
        'gateway.hold',
        'gateway.settle',
        'gen_ai.chat',
      ]),
    );
    expect((await upstream.completions()).at(-1)?.headers['traceparent']).toBe(traceparent);
    expect(langfuse.bodies).toContain(`"traceparent":"${traceparent}"`);
    expect(langfuse.bodies).toContain('"request_id":"one-id"');
    const cost = response.headers.get('x-request-cost');
    expect(langfuse.bodies).toContain(`"cost":"${cost}"`);
  });
});
