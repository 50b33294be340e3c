import { mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  createDatabase,
  eventually,
  FakeUpstream,
  type Gateway,
  startGateway,
  type TestDatabase,
} from '@app/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';

describe('a call that was sent and not answered has its row for the operator', () => {
  let first: FakeUpstream;
  let second: FakeUpstream;
  let database: TestDatabase;
  let gateway: Gateway;

  beforeAll(async () => {
    [first, second, database] = await Promise.all([
      FakeUpstream.start(),
      FakeUpstream.start(),
      createDatabase(),
    ]);
    const path = join(await mkdtemp(join(inject('runDirectory'), 'unknown-')), 'gateway.yaml');
    await writeFile(
      path,
      `
providers:
  first: { type: openai-compatible, base_url: "${first.url}/v1", api_key_env: FAKE_API_KEY, timeout_seconds: 2 }
  second: { type: openai-compatible, base_url: "${second.url}/v1", api_key_env: FAKE_API_KEY }
models:
  both:
    targets: [{ provider: first, model: m }, { provider: second, model: m, weight: 0 }]
    price: { input_per_million: "1", output_per_million: "1" }
`,
    );
    gateway = await startGateway({
      env: {
        DATABASE_URL: database.url,
        GATEWAY_CONFIG: path,
        FAKE_API_KEY: 'sk-test',
        RETRY_ENABLED: 'false',
        CIRCUIT_BREAKER_ENABLED: 'false',
        FIRST_CHUNK_TIMEOUT_SECONDS: '0.5',
        REQUEST_TIMEOUT_SECONDS: '20',
      },
    });
  });
  afterAll(async () => {
    await gateway?.stop();
    await Promise.all([first?.stop(), second?.stop()]);
    await database?.drop();
  });
  beforeEach(async () => {
    await Promise.all([first.reset(), second.reset()]);
    await first.answerAlways({
      body: { builtIn: true },
      fault: { kind: 'stall', afterBytes: 'before-headers' },
    });
  });

  async function ask(user: string, stream = true): Promise<string> {
    const answer = await gateway.fetch('/v1/chat/completions', {
      method: 'POST',
      as: user,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'both', stream, messages: [{ role: 'user', content: 'hi' }] }),
    });
    return answer.text();
  }

  const unknownCosts = (user: string) =>
    eventually('the rows', async () => {
      const rows = await database.query<{ provider: string; reason: string }>(
        'SELECT provider, reason FROM unknown_cost WHERE user_id = $1 ORDER BY provider',
        [user],
      );
      return rows.length > 0 && rows;
    });

  const charged = (user: string) =>
    database.query<{ provider: string }>(
      `SELECT provider FROM ledger WHERE user_id = $1 AND kind = 'charge'`,
      [user],
    );

  it('also when the client is told of another failure', async () => {
    await second.answerAlways({ status: 429, body: { json: { error: { message: 'slow down' } } } });
    await ask('told-of-another');
    expect(await unknownCosts('told-of-another')).toEqual([
      { provider: 'first', reason: 'first_chunk_timeout' },
    ]);
    expect(await charged('told-of-another')).toEqual([]);
  });

  it('also when another target answered, whose answer is charged', async () => {
    await second.answerAlways({ body: { builtIn: true } });
    expect(await ask('answered')).toContain('[DONE]');
    expect(await unknownCosts('answered')).toEqual([{ provider: 'first', reason: 'first_chunk_timeout' }]);
    await eventually('the charge', async () => (await charged('answered')).length === 1);
    expect(await charged('answered')).toEqual([{ provider: 'second' }]);
  });

  it('also when a whole answer took longer than its provider may take', async () => {
    await second.answerAlways({ body: { builtIn: true } });
    expect(await ask('whole', false)).toContain('chat.completion');
    expect(await unknownCosts('whole')).toEqual([{ provider: 'first', reason: 'request_timeout' }]);
    await eventually('the charge', async () => (await charged('whole')).length === 1);
    expect(await charged('whole')).toEqual([{ provider: 'second' }]);
  });

  it('each of several', async () => {
    await second.answerAlways({
      body: { builtIn: true },
      fault: { kind: 'stall', afterBytes: 'before-headers' },
    });
    await ask('several');
    expect(await unknownCosts('several')).toEqual([
      { provider: 'first', reason: 'first_chunk_timeout' },
      { provider: 'second', reason: 'first_chunk_timeout' },
    ]);
    expect(await charged('several')).toEqual([]);
  });
});
