import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
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

/** Unique texts of this run, each put where such a text belongs. */
const CANARY = {
  prompt: 'canary-prompt-6e0d93',
  system: 'canary-system-1b44f7',
  metadata: 'canary-metadata-c09a2e',
  openaiKey: 'sk-canary-openai-77aa01bb23',
  anthropicKey: 'sk-ant-canary-anthropic-55ee10',
  googleKey: 'AIzaCanaryGoogleKeyOfThisVeryRun012345',
  jwtSecret: 'canary-jwt-secret-of-this-run-0123456789-abcdef',
} as const;
const KEYS = [CANARY.openaiKey, CANARY.anthropicKey, CANARY.googleKey, CANARY.jwtSecret];
/** In the provider's answer to a request with an Idempotency-Key: kept for a day, as promised, and nowhere else. */
const REPLAYED = 'canary-replayed-answer-0d31';

let database: TestDatabase;
let upstream: FakeUpstream;
let gateway: Gateway;
const token = mintToken({ sub: 'alice', role: 'admin' }, CANARY.jwtSecret);
const errors: string[] = [];

beforeAll(async () => {
  database = await createDatabase();
  upstream = await FakeUpstream.start();
  gateway = await startGateway({
    env: {
      ...upstream.env,
      DATABASE_URL: database.url,
      OPENAI_API_KEY: CANARY.openaiKey,
      ANTHROPIC_API_KEY: CANARY.anthropicKey,
      GOOGLE_GEMINI_API_KEY: CANARY.googleKey,
      JWT_SECRET_KEY: CANARY.jwtSecret,
      RETRY_ENABLED: 'false',
      CIRCUIT_BREAKER_ENABLED: 'false',
    },
  });
  await everyKindOfRequest();
});
afterAll(async () => {
  await gateway.stop();
  await upstream.stop();
  await database.drop();
});

async function post(body: object, headers: Record<string, string> = {}): Promise<string> {
  const response = await gateway.fetch('/v1/chat/completions', {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}`, ...headers },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  if (response.status >= 400) errors.push(text);
  return text;
}

const request = (model: string, more: object = {}) => ({
  model,
  messages: [
    { role: 'system', content: CANARY.system },
    { role: 'user', content: CANARY.prompt },
  ],
  metadata: { note: CANARY.metadata },
  ...more,
});

async function everyKindOfRequest(): Promise<void> {
  for (const model of ['gpt-4', 'claude-3', 'gemini-1.5-pro']) {
    for (const stream of [false, true]) await post({ ...request(model, { stream }), metadata: undefined });
    // A provider that repeats what it was sent, and the key it was sent with.
    const key = { 'gpt-4': CANARY.openaiKey, 'claude-3': CANARY.anthropicKey }[model] ?? CANARY.googleKey;
    for (const status of [400, 401, 403, 404, 429, 500, 503]) {
      const json = { error: { message: `No: key ${key} is wrong`, type: key, code: key, status: key } };
      await upstream.answerNext({
        status,
        headers: { 'content-type': 'application/json', 'x-request-id': key },
        body: { json },
      });
      await post(request(model, { metadata: undefined }));
    }
  }
  await post(request('gpt-4'), { 'idempotency-key': 'kept-once' });
  await upstream.answerNext({
    body: { json: { ...ANSWER, choices: [{ ...CHOICE }] } },
    headers: { 'content-type': 'application/json' },
  });
  expect(await post(request('gpt-3.5-turbo'), { 'idempotency-key': 'kept' })).toContain(REPLAYED);
  await gateway.fetch('/admin/tokens/revoke', {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ jti: 'some-other-token' }),
  });
  await eventually('everything is settled', async () => {
    const response = await gateway.fetch('/billing/balance', {
      headers: { authorization: `Bearer ${token}` },
    });
    return ((await response.json()) as { held: number }).held === 0;
  });
}

const CHOICE = { index: 0, message: { role: 'assistant', content: REPLAYED }, finish_reason: 'stop' };
const ANSWER = {
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1,
  model: 'gpt-3.5-turbo',
  usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
};

/** Every row of every table as text; bytes as the text they hold. */
async function everyTable(): Promise<Map<string, string>> {
  const tables = await database.query<{ name: string }>(
    `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'`,
  );
  const dumps = new Map<string, string>();
  for (const { name } of tables) {
    const rows = await database.query<Record<string, unknown>>(`SELECT * FROM "${name}"`);
    dumps.set(name, rows.map((row) => Object.values(row).map(asText).join('\t')).join('\n'));
  }
  return dumps;
}

function asText(value: unknown): string {
  if (Buffer.isBuffer(value)) return value.toString('utf8');
  return typeof value === 'string' ? value : JSON.stringify(value);
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return Promise.all(
    entries
      .filter((entry) => entry.isFile())
      .map((entry) => readFile(join(entry.parentPath, entry.name), 'latin1')),
  );
}

const tokenParts = token.split('.');
const secrets = [...KEYS, token, tokenParts[2] ?? ''];
const found = (text: string, wanted: readonly string[]): string[] =>
  wanted.filter((secret) => text.includes(secret));
const prompts = [CANARY.prompt, CANARY.system, CANARY.metadata];

describe('what is kept', () => {
  it('in the database is no prompt, no key and no token, in no table', async () => {
    const tables = await everyTable();
    expect([...tables.keys()].length).toBeGreaterThan(6);
    expect(tables.get('ledger') ?? [...tables.values()].join('')).toContain('alice');
    for (const [name, dump] of tables) {
      expect(found(dump, secrets), name).toEqual([]);
      if (!/idempot/.test(name)) expect(found(dump, [...prompts, REPLAYED]), name).toEqual([]);
    }
    // Of a request with an Idempotency-Key there is the answer, and of the request a digest only.
    const kept = [...tables].filter(([, dump]) => dump.includes(REPLAYED)).map(([name]) => name);
    expect(kept).toHaveLength(1);
    expect(found(tables.get(kept[0] ?? '') ?? '', [CANARY.system, CANARY.metadata])).toEqual([]);
  });

  it('on disk is no prompt, no key and no token', async () => {
    const files = await filesBelow(gateway.dataDir);
    expect(files.length).toBeGreaterThan(0);
    for (const content of files)
      expect(found(content, [...secrets, CANARY.prompt, CANARY.system, CANARY.metadata])).toEqual([]);
  });

  it('in the command line and title of the process is nothing of the kind', async () => {
    const { stdout } = await promisify(execFile)('ps', ['-eo', 'args'], { maxBuffer: 16 * 2 ** 20 });
    expect(stdout).toContain('dist/src/main.js');
    expect(found(stdout, secrets)).toEqual([]);
  });
});

describe('what is sent', () => {
  it('to clients as an error names no key, whatever the provider says', () => {
    expect(errors.length).toBeGreaterThan(15);
    for (const text of errors) expect(found(text, secrets), text).toEqual([]);
  });

  it('to providers has the key in a header and never in the URL', async () => {
    const requests = await upstream.requests();
    expect(requests.length).toBeGreaterThan(20);
    for (const { path, query, headers, body } of requests) {
      expect(found(`${path} ${JSON.stringify(query)}`, secrets)).toEqual([]);
      expect(found(body, secrets)).toEqual([]);
      expect(found(JSON.stringify(headers), [token, CANARY.jwtSecret])).toEqual([]);
      expect(found(JSON.stringify(headers), KEYS)).toHaveLength(1);
    }
  });

  it('to users and administrators has no field that looks like a secret', async () => {
    const paths = [
      '/admin/users',
      '/admin/users/alice/balance',
      '/admin/reports',
      '/admin/transactions',
      '/admin/unknown-costs',
      '/admin/ops/summary',
      '/admin/ledger/audit',
      '/billing/balance',
      '/billing/transactions?limit=100',
      '/billing/usage',
      '/v1/models',
      '/health/detailed',
      '/health/system',
      '/health/history',
      '/health/circuit-breakers',
      '/docs-json',
    ];
    for (const path of paths) {
      const response = await gateway.fetch(path, { headers: { authorization: `Bearer ${token}` } });
      const text = await response.text();
      expect(response.status, path).toBe(200);
      expect(found(text, [...secrets, ...prompts]), path).toEqual([]);
      if (path !== '/docs-json') {
        expect(text, path).not.toMatch(
          /"[^"]*(password|secret|api_?key|private|authorization|credential|dsn)[^"]*":/i,
        );
        expect(text, path).not.toMatch(/(sk-|eyJ|AIza)[\w-]{10,}|postgres(ql)?:\/\/|redis:\/\//);
      }
    }
  });
});
