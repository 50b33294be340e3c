import {
  createDatabase,
  eventually,
  FakeUpstream,
  type Gateway,
  mintToken,
  startGateway,
  type TestDatabase,
} from '@app/testing';
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
let upstream: FakeUpstream;
let sentry: RecordingServer;
let langfuse: RecordingServer;
let gateway: Gateway;
const token = mintToken({ sub: 'alice' }, CANARY.jwtSecret);

beforeAll(async () => {
  database = await createDatabase();
  upstream = await FakeUpstream.start();
  sentry = await RecordingServer.start('{}');
  langfuse = await RecordingServer.start('{"successes":[],"errors":[]}');
  gateway = await startGateway({
    env: {
      ...upstream.env,
      DATABASE_URL: database.url,
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

async function everyKindOfRequest(): Promise<void> {
  const json = { 'content-type': 'application/json' };
  const echoes = {
    error: { message: `bad: ${CANARY.prompt} with key ${CANARY.openaiKey}`, type: 'x', code: 'y' },
  };
  const answers: unknown[] = [];
  for (const model of ['gpt-4', 'claude-3', 'gemini-1.5-pro']) {
    answers.push(await (await post(request(model))).text());
    answers.push(await (await post(request(model, { stream: true }))).text());
    for (const status of [400, 401, 429, 500]) {
      await upstream.answerNext({ status, headers: json, body: { json: echoes } });
      await (await post(request(model))).text();
    }
    await upstream.answerNext({ body: { text: `<html>${ANSWER} ${CANARY.prompt}</html>` } });
    await (await post(request(model))).text();
    await upstream.answerNext({ body: { builtIn: true }, fault: { kind: 'reset', afterBytes: 60 } });
    await (await post(request(model, { stream: true }))).text().catch(() => '');
  }
  await (await post(`{"model": "gpt-4", "messages": [${CANARY.prompt}`)).text();
  await (await post(request(CANARY.prompt))).text();
  await (await post(request('gpt-4', { messages: CANARY.prompt }))).text();
  await (await gateway.fetch('/v1/models', { headers: { authorization: `Bearer ${token}x` } })).text();
  await (await gateway.fetch(`/nowhere?key=${CANARY.queryKey}`)).text();
  expect(answers.join('')).toContain(CANARY.prompt.slice(0, 6)); // the fake answers with the prompt's words
}

function found(text: string): string[] {
  const tokenParts = [token, token.split('.')[1] ?? '', token.split('.')[2] ?? ''];
  return [...Object.values(CANARY), ...tokenParts, ANSWER].filter((canary) => text.includes(canary));
}

describe('logs, metrics, health pages, Sentry and Langfuse', () => {
  it('hold no prompt, no answer, no key and no token, whatever happens to a request', async () => {
    await everyKindOfRequest();
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
    await gateway.stop();
    expect(found(gateway.logs)).toEqual([]);
    expect(found(pages.join('\n'))).toEqual([]);
    expect(found(sentry.bodies)).toEqual([]);
    expect(found(langfuse.bodies)).toEqual([]);
    // the search looked at something
    expect(gateway.logRecords.filter(({ message }) => message === 'completion').length).toBeGreaterThan(20);
    expect(pages.join('')).toContain('llm_requests_total');
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
    expect(langfuse.bodies).toContain('"request_id":"one-id"');
    const cost = response.headers.get('x-request-cost');
    expect(langfuse.bodies).toContain(`"cost":"${cost}"`);
  });
});
