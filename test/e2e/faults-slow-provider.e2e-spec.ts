import { eventually, ownGateway, readEvents, WITHOUT_LIMITS } from '@app/testing';
import { HELD_BY_REQUESTS } from '../../src/billing/accounts/account-statements.js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { outcomes, percentileMs, type Seen, see, seeInTurn } from '../support/measure-load.js';

/** Calls of one provider at the same time. */
const SLOTS = 20;
/** More than that is waiting for something, on however busy a machine. */
const NOISE_MS = 400;

describe('a provider that is slow', () => {
  const own = ownGateway({
    ...WITHOUT_LIMITS,
    PROVIDER_MAX_CONCURRENCY: String(SLOTS),
    FIRST_CHUNK_TIMEOUT_SECONDS: '3',
    STREAM_IDLE_TIMEOUT_SECONDS: '3',
    STREAM_HEARTBEAT_SECONDS: '0.25',
  });
  let leave: AbortController;

  beforeEach(async () => {
    leave = new AbortController();
    await own.upstream.reset();
  });
  afterEach(() => leave.abort());

  const ask = (model: string, user: string, stream = false): Promise<Response> =>
    own.gateway.fetch('/v1/chat/completions', {
      method: 'POST',
      as: user,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model, stream, messages: [{ role: 'user', content: 'one two three four' }] }),
      signal: leave.signal,
    });

  const others = (): Promise<Seen[]> =>
    seeInTurn(60, (index) => ask('claude-haiku-4-5', `other-${index % 5}`));

  it('one token a second: its streams live on, its slots are all that it takes, and nobody else feels it', async () => {
    await others();
    const before = await others();
    await own.upstream.answerAlways({ chunkDelayMs: 1_000, body: { builtIn: true } }, { vendor: 'openai' });
    const streams = await Promise.all(
      Array.from({ length: SLOTS }, (_, index) => ask('gpt-4o-mini', `slow-${index}`, true)),
    );
    expect(streams.every(({ status }) => status === 200)).toBe(true);
    await own.upstream.waitForRequests(SLOTS);

    const refused = await seeInTurn(5, () => ask('gpt-4o-mini', 'late'));
    expect(outcomes(refused)).toEqual({ '503 bulkhead_full': 5 });
    expect(refused.every(({ retryAfter }) => Number(retryAfter) >= 1)).toBe(true);
    expect(percentileMs(refused, 1)).toBeLessThan(NOISE_MS);

    const during = await others();
    expect(outcomes(during)).toEqual({ '200': 60 });
    expect(percentileMs(during, 0.5)).toBeLessThan(2 * percentileMs(before, 0.5) + 30);
    expect(percentileMs(during, 0.99)).toBeLessThan(percentileMs(before, 0.99) + NOISE_MS);

    const [first] = streams;
    const texts: string[] = [];
    for await (const { data } of readEvents(first!)) texts.push(data);
    expect(texts.at(-1)).toBe('[DONE]');
  }, 60_000);

  it('its slots come back when their clients have gone', async () => {
    await own.upstream.answerAlways({ chunkDelayMs: 1_000, body: { builtIn: true } }, { vendor: 'openai' });
    await Promise.all(Array.from({ length: SLOTS }, (_, index) => ask('gpt-4o-mini', `slow-${index}`, true)));
    leave.abort();
    leave = new AbortController();
    await own.upstream.reset();
    await eventually(
      'a slot',
      async () => (await see(() => ask('gpt-4o-mini', 'next'))).status === 200,
      3_000,
    );
  });

  it('no first byte: heartbeats while it thinks, an error after its time, and nobody else feels it', async () => {
    const before = await others();
    await own.upstream.answerAlways({ delayMs: 120_000, body: { builtIn: true } }, { vendor: 'openai' });
    const startedMs = performance.now();
    const thinking = Array.from({ length: SLOTS }, async (_, index) => {
      const response = await ask('gpt-4o-mini', `slow-${index}`, true);
      const text = await response.text();
      return { text, ms: performance.now() - startedMs };
    });
    const during = await others();
    expect(outcomes(during)).toEqual({ '200': 60 });
    expect(percentileMs(during, 0.5)).toBeLessThan(2 * percentileMs(before, 0.5) + 30);
    expect(percentileMs(during, 0.99)).toBeLessThan(percentileMs(before, 0.99) + NOISE_MS);
    for (const { text, ms } of await Promise.all(thinking)) {
      // 3 s of silence at 4 a second; half of them would do.
      expect(text.match(/^: ping$/gm)?.length ?? 0).toBeGreaterThanOrEqual(5);
      expect(text).toContain('"code":"first_chunk_timeout"');
      expect(text).not.toContain('[DONE]');
      expect(ms).toBeGreaterThan(2_900);
      expect(ms).toBeLessThan(6_000);
    }
    await eventually('every hold is released', async () => {
      const held = await own.database.query(
        `SELECT 1 FROM account WHERE user_id LIKE 'slow-%' AND ${HELD_BY_REQUESTS} > 0`,
      );
      return held.length === 0;
    });
  }, 60_000);
});
