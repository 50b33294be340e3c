import { setTimeout as sleep } from 'node:timers/promises';
import { createDatabase, eventually, type Gateway, startGateway, type TestDatabase } from '@app/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const LIMIT = 100_000;

describe('a client that leaves', () => {
  let database: TestDatabase;
  let gateway: Gateway;

  beforeAll(async () => {
    database = await createDatabase();
    gateway = await startGateway({
      env: { DATABASE_URL: database.url, RATE_LIMIT_TOKENS_PER_MINUTE: String(LIMIT) },
    });
  });
  afterAll(async () => {
    await gateway?.stop();
    await database?.drop();
  });

  const ask = (as: string, headers: Record<string, string> = {}, signal: AbortSignal | null = null) =>
    gateway.fetch('/v1/chat/completions', {
      method: 'POST',
      as,
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({
        model: 'echo-slow',
        stream: true,
        max_tokens: 100,
        messages: [{ role: 'user', content: 'one two three four five six seven eight' }],
      }),
      signal,
    });

  const records = (status: number): number => gateway.logs.split(`"status":${status}`).length - 1;
  const tokensLeft = (response: Response): number =>
    Number(response.headers.get('x-ratelimit-remaining-tokens'));

  it('has used the tokens of what it was sent', async () => {
    const client = new AbortController();
    const before = records(499);
    const first = await ask('ann', {}, client.signal);
    await first.body?.getReader().read();
    client.abort();
    await eventually('the request is over', () => records(499) > before);
    const second = await ask('ann');
    await second.text();
    expect(tokensLeft(first)).toBeLessThan(LIMIT);
    expect(tokensLeft(second)).toBeLessThan(tokensLeft(first));
  });

  it('frees its Idempotency-Key when the answer that it waited for comes from the cache', async () => {
    const cached = { 'x-cache-ttl': '60' };
    const keyed = { ...cached, 'idempotency-key': 'left-before-the-first-event' };
    const first = await ask('bob', cached);
    const client = new AbortController();
    const before = records(499);
    const waiting = ask('bob', keyed, client.signal).catch(() => undefined);
    // Behind the first, which takes some seconds for its words.
    await sleep(500);
    client.abort();
    await waiting;
    await first.text();
    await eventually('the request is over', () => records(499) > before);
    const again = await ask('bob', keyed, AbortSignal.timeout(5_000));
    expect(again.status).toBe(200);
    expect(await again.text()).toContain('[DONE]');
  });
});
