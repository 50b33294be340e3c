import {
  createDatabase,
  eventually,
  FakeUpstream,
  type Gateway,
  startGateway,
  type TestDatabase,
} from '@app/testing';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { outcomes, type Seen, see } from '../support/measure-load.js';

interface Breaker {
  readonly state: 'closed' | 'open' | 'half_open';
  readonly failures: number;
  readonly opened_at: string | null;
  readonly next_attempt_at: string | null;
}

const STORM_MS = 3_000;
const RECOVERY_SECONDS = 1;

describe('a provider that answers nothing but errors', () => {
  let upstream: FakeUpstream;
  let database: TestDatabase;
  let gateway: Gateway | undefined;

  beforeAll(async () => {
    upstream = await FakeUpstream.start();
    database = await createDatabase();
  });
  beforeEach(() => upstream.reset());
  afterEach(() => gateway?.stop());
  afterAll(async () => {
    await upstream?.stop();
    await database?.drop();
  });

  const start = async (env: Record<string, string>): Promise<Gateway> =>
    (gateway = await startGateway({
      env: {
        ...upstream.env,
        DATABASE_URL: database.url,
        RATE_LIMIT_REQUESTS_PER_MINUTE: '1000000',
        RATE_LIMIT_REQUESTS_PER_HOUR: '10000000',
        CIRCUIT_BREAKER_RECOVERY_TIMEOUT: String(RECOVERY_SECONDS),
        ...env,
      },
    }));

  const ask = (to: Gateway): Promise<Response> =>
    to.complete({ model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'hello' }] }, 'stormy');

  async function breakerOf(of: Gateway): Promise<Breaker | undefined> {
    const report = (await (await of.fetch('/health/circuit-breakers')).json()) as {
      circuit_breakers: { openai: { models: Record<string, Breaker> } };
    };
    return report.circuit_breakers.openai.models['gpt-4o-mini'];
  }

  /** Eight clients that don't give up, while `work` runs. */
  async function storm(on: Gateway, work: () => Promise<unknown>): Promise<Seen[]> {
    const seen: Seen[] = [];
    let running = true;
    const client = async (): Promise<void> => {
      while (running) {
        seen.push(await see(() => ask(on)));
        await sleep(15);
      }
    };
    const clients = Array.from({ length: 8 }, client);
    await work();
    running = false;
    await Promise.all(clients);
    return seen;
  }

  it('its breaker opens within 2 s, is seen live, and closes by itself', async () => {
    const on = await start({});
    expect((await see(() => ask(on))).status).toBe(200);
    expect(await breakerOf(on)).toMatchObject({ state: 'closed', failures: 0, opened_at: null });

    await upstream.answerAlways({ status: 503, body: { json: { error: { message: 'broken' } } } });
    const before = (await upstream.completions()).length;
    let openedAfterMs = Number.NaN;
    const seen = await storm(on, async () => {
      const startedMs = performance.now();
      const open = await eventually('open', async () => {
        const breaker = await breakerOf(on);
        return breaker?.state === 'open' && breaker;
      });
      openedAfterMs = performance.now() - startedMs;
      expect(open.failures).toBeGreaterThanOrEqual(5);
      expect(Date.parse(open.opened_at ?? '')).toBeGreaterThan(Date.now() - 3_000);
      const nextInMs = Date.parse(open.next_attempt_at ?? '') - Date.now();
      expect(nextInMs).toBeLessThanOrEqual(RECOVERY_SECONDS * 1_000);
      await sleep(STORM_MS - openedAfterMs);
    });
    const calls = (await upstream.completions()).length - before;
    expect(openedAfterMs).toBeLessThan(2_000);
    expect(calls / seen.length).toBeLessThanOrEqual(1.2);
    // 5 to open it, what was under way then, the budget's 3, and one probe a second.
    expect(calls).toBeLessThan(5 + 8 + 3 + STORM_MS / 1_000 / RECOVERY_SECONDS + 2);
    expect(outcomes(seen)['503 circuit_open']).toBeGreaterThan(seen.length / 2);
    const retryAfters = seen
      .filter(({ code }) => code === 'circuit_open')
      .map(({ retryAfter }) => Number(retryAfter));
    expect(Math.min(...retryAfters)).toBeGreaterThanOrEqual(1);
    expect(seen.every((one) => one.status >= 500)).toBe(true);

    await upstream.reset();
    const healedMs = performance.now();
    await storm(on, () =>
      eventually('closed', async () => (await breakerOf(on))?.state === 'closed', 15_000),
    );
    expect(performance.now() - healedMs).toBeLessThan(5_000);
    expect(await breakerOf(on)).toMatchObject({ failures: 0, opened_at: null, next_attempt_at: null });
    expect((await see(() => ask(on))).status).toBe(200);
  });

  it('without a breaker the budget alone keeps it to 1.2 calls a request', async () => {
    const on = await start({
      CIRCUIT_BREAKER_ENABLED: 'false',
      RETRY_BASE_DELAY: '0.01',
      RETRY_MAX_ATTEMPTS: '5',
    });
    await upstream.answerAlways({ status: 503, body: { json: { error: { message: 'broken' } } } });
    const seen = await storm(on, () => sleep(STORM_MS));
    expect(outcomes(seen)).toEqual({ '503 provider_overloaded': seen.length });
    const calls = (await upstream.completions()).length;
    expect(seen.length).toBeGreaterThan(50);
    expect(calls).toBeGreaterThan(seen.length);
    expect(calls).toBeLessThanOrEqual(1.2 * seen.length + 1);
  });
});
