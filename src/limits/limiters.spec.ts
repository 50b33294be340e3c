import { GatewayError } from '@app/contracts';
import { describe, expect, it, vi } from 'vitest';
import type { AppConfig } from '../config/app-config.js';
import { type GatewayEvent, Telemetry } from '../telemetry/telemetry.js';
import { ConcurrencyLimiter } from './concurrency-limiter.service.js';
import { MemoryLimitStore } from './memory-limit-store.js';
import { TokenLimiter } from './token-limiter.service.js';

const config = (rateLimit: Partial<AppConfig['rateLimit']>) =>
  ({ rateLimit: { tokensPerMinute: 0, concurrentRequests: 0, ...rateLimit } }) as AppConfig;

function telemetryInto(events: GatewayEvent[]): Telemetry {
  const telemetry = new Telemetry();
  telemetry.addSink({ event: (event) => events.push(event) });
  return telemetry;
}

async function codeOf(work: Promise<unknown>): Promise<string | undefined> {
  return work.then(
    () => undefined,
    (error: unknown) => (error instanceof GatewayError ? error.code : 'other'),
  );
}

describe('TokenLimiter', () => {
  it('takes the estimate, refuses what does not fit, and gives back what was not used', async () => {
    const limiter = new TokenLimiter(
      new MemoryLimitStore(),
      new Telemetry(),
      config({ tokensPerMinute: 1000 }),
    );
    const first = await limiter.reserve('ann', 700);
    expect(first?.headers).toMatchObject({
      'x-ratelimit-limit-tokens': '1000',
      'x-ratelimit-remaining-tokens': '300',
    });
    expect(await codeOf(limiter.reserve('ann', 400))).toBe('rate_limited');
    await limiter.correct(first, 100);
    expect((await limiter.reserve('ann', 400))?.headers['x-ratelimit-remaining-tokens']).toBe('500');
  });

  it('counts what was used beyond the estimate', async () => {
    const limiter = new TokenLimiter(
      new MemoryLimitStore(),
      new Telemetry(),
      config({ tokensPerMinute: 1000 }),
    );
    await limiter.correct(await limiter.reserve('ann', 100), 900);
    expect(await codeOf(limiter.reserve('ann', 200))).toBe('rate_limited');
  });

  it('gives nothing back of a reservation that the window has let go of: it would come off those of later requests', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    try {
      const limiter = new TokenLimiter(
        new MemoryLimitStore(),
        new Telemetry(),
        config({ tokensPerMinute: 1000 }),
      );
      const long = await limiter.reserve('ann', 1000);
      vi.advanceTimersByTime(62_000);
      await limiter.reserve('ann', 1000);
      await limiter.correct(long, 10);
      expect(await codeOf(limiter.reserve('ann', 900))).toBe('rate_limited');
    } finally {
      vi.useRealTimers();
    }
  });

  it('serves a request that is larger than the limit when it comes alone', async () => {
    const events: GatewayEvent[] = [];
    const limiter = new TokenLimiter(
      new MemoryLimitStore(),
      telemetryInto(events),
      config({ tokensPerMinute: 1000 }),
    );
    const reservation = await limiter.reserve('ann', 50_000);
    expect(reservation?.headers).toMatchObject({ 'x-ratelimit-remaining-tokens': '0' });
    expect(await codeOf(limiter.reserve('ann', 1))).toBe('rate_limited');
    expect(events).toEqual([{ kind: 'rate-limit', scope: 'user_tokens', outcome: 'refused' }]);
  });

  it('does nothing while it is off', async () => {
    const limiter = new TokenLimiter(new MemoryLimitStore(), new Telemetry(), config({}));
    const reservation = await limiter.reserve('ann', 1e9);
    expect(reservation).toBeUndefined();
    await limiter.correct(reservation, 5);
  });
});

describe('ConcurrencyLimiter', () => {
  it('gives so many slots, and a slot back once', async () => {
    const events: GatewayEvent[] = [];
    const limiter = new ConcurrencyLimiter(
      new MemoryLimitStore(),
      telemetryInto(events),
      config({ concurrentRequests: 2 }),
    );
    const release = await limiter.acquire('ann');
    await limiter.acquire('ann');
    expect(await codeOf(limiter.acquire('ann'))).toBe('rate_limited');
    expect(events).toEqual([{ kind: 'rate-limit', scope: 'user_concurrency', outcome: 'refused' }]);
    release();
    release();
    await limiter.acquire('ann');
    expect(await codeOf(limiter.acquire('ann'))).toBe('rate_limited');
    await limiter.acquire('bob');
  });

  it('keeps a slot taken for as long as an answer lasts', async () => {
    let nowMs = 0;
    const store = new MemoryLimitStore(() => nowMs);
    const limiter = new ConcurrencyLimiter(store, new Telemetry(), config({ concurrentRequests: 1 }));
    const release = await limiter.acquire('ann');
    nowMs += 600_000;
    expect(await codeOf(limiter.acquire('ann'))).toBe('rate_limited');
    release();
    await limiter.acquire('ann');
  });
});
