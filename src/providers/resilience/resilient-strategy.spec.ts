import {
  type CallPlacement,
  type ChatStreamEvent,
  type GatewayErrorCode,
  type ProviderAnswer,
  type ProviderCall,
  ProviderError,
  type ProviderErrorOptions,
} from '@app/contracts';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { AppConfig } from '../../config/app-config.js';
import { type GatewayEvent, Telemetry } from '../../telemetry/telemetry.js';
import { BreakerRegistry } from './breaker-registry.service.js';
import { Cooldowns } from './cooldowns.service.js';
import { monotonicClock } from './resilience.js';
import { type ResilienceSettings, ResilientStrategy } from './resilient-strategy.js';
import { event, type Script, ScriptedStrategy } from '../../../test/support/scripted-strategy.js';

const SETTINGS: ResilienceSettings = {
  maxConcurrentCalls: 4,
  repeat: { maxAttempts: 3, baseDelayMs: 500, maxDelayMs: 10_000 },
  firstChunkMs: 5_000,
  streamIdleMs: 2_000,
  requestMs: 60_000,
  secrets: ['sk-our-own-key'],
};
const THRESHOLD = 3;
const RECOVERY_MS = 30_000;
const ANSWER = { droppedParams: [], usage: undefined, completion: { id: 'c' } } as unknown as ProviderAnswer;

interface Rig {
  readonly strategy: ResilientStrategy;
  readonly scripted: ScriptedStrategy;
  readonly breakers: BreakerRegistry;
  readonly cooldowns: Cooldowns;
  readonly events: GatewayEvent[];
}

function rig(script: Script, settings: Partial<ResilienceSettings> = {}, breakerEnabled = true): Rig {
  const telemetry = new Telemetry();
  const events: GatewayEvent[] = [];
  telemetry.addSink({ event: (told) => events.push(told) });
  const circuitBreaker = {
    enabled: breakerEnabled,
    failureThreshold: THRESHOLD,
    recoveryTimeoutMs: RECOVERY_MS,
  };
  const breakers = new BreakerRegistry({ circuitBreaker } as AppConfig, telemetry);
  const cooldowns = new Cooldowns();
  const scripted = new ScriptedStrategy(script);
  const shared = { breakers, cooldowns, now: monotonicClock, random: () => 0.5 };
  return {
    strategy: new ResilientStrategy(scripted, { ...SETTINGS, ...settings }, shared),
    scripted,
    breakers,
    cooldowns,
    events,
  };
}

function call(overrides: Partial<ProviderCall> = {}): ProviderCall {
  return {
    request: { model: 'm', messages: [] },
    upstreamModel: 'm',
    clientModel: 'm',
    maxOutputTokens: undefined,
    requestId: 'r',
    signal: new AbortController().signal,
    dropUnsupported: false,
    ...overrides,
  };
}

function fault(code: GatewayErrorCode, options: Partial<ProviderErrorOptions> = {}): ProviderError {
  return new ProviderError(code, code, {
    processed: 'no',
    countsAsFailure: true,
    tryElsewhere: true,
    ...options,
  });
}
const overloaded = (options: Partial<ProviderErrorOptions> = {}) => fault('provider_overloaded', options);
const broken = () => fault('provider_bad_response', { processed: 'unknown' });
const rateLimited = (retryAfterMs?: number) =>
  fault('provider_rate_limited', {
    countsAsFailure: false,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });

/** Waits for a promise that must fail, moving the fake clock. */
async function failure(work: Promise<unknown>, advanceMs = 0): Promise<ProviderError> {
  const settled = work.then(
    () => new Error('it worked'),
    (error: unknown) => error,
  );
  await vi.advanceTimersByTimeAsync(advanceMs);
  return (await settled) as ProviderError;
}

async function read(events: AsyncIterable<ChatStreamEvent>): Promise<string> {
  let text = '';
  for await (const { outputText } of events) text += outputText;
  return text;
}

const never = (): Promise<never> => new Promise(() => undefined);
async function* texts(...parts: string[]): AsyncGenerator<ChatStreamEvent> {
  for (const part of parts) yield event(part);
}
/** Sends the parts, then breaks or hangs. */
async function* cut(then: () => Promise<never>, ...parts: string[]): AsyncGenerator<ChatStreamEvent> {
  yield* texts(...parts);
  await then();
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('a call that goes well', () => {
  it('passes through, whole and streamed', async () => {
    const whole = rig(() => Promise.resolve(ANSWER));
    expect(await whole.strategy.complete(call())).toBe(ANSWER);
    const streamed = rig(() => texts('a', 'b', 'c'));
    const stream = await streamed.strategy.stream(call());
    expect(stream.droppedParams).toEqual(['seed']);
    expect(await read(stream.events)).toBe('abc');
    expect(streamed.scripted.openStreams).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('lets no error show our key, whole or in the middle of a stream', async () => {
    const leak = () =>
      new ProviderError('provider_rejected', 'Bad key "sk-our-own-key" (sk-our-own-key).', {
        processed: 'no',
        countsAsFailure: false,
        tryElsewhere: false,
        wireCode: 'sk-our-own-key',
        providerRequestId: 'id-sk-our-own-key',
      });
    const whole = rig(() => Promise.reject(leak()));
    expect((await failure(whole.strategy.complete(call()))).message).toBe('Bad key "[masked]" ([masked]).');
    const streamed = rig(() => cut(() => Promise.reject(leak()), 'a'));
    const { events } = await streamed.strategy.stream(call());
    expect(await failure(read(events))).toMatchObject({
      message: 'Bad key "[masked]" ([masked]).',
      wireCode: '[masked]',
      providerRequestId: 'id-[masked]',
    });
  });

  it('shows the vendor’s properties, and a probe only where there is one', async () => {
    const { strategy, scripted } = rig(() => Promise.resolve(ANSWER));
    expect([strategy.providerName, strategy.cancelStopsBilling]).toEqual(['scripted', true]);
    expect('probe' in strategy && strategy.probe !== undefined).toBe(false);
    const probe = vi.fn(() => Promise.resolve());
    const shared = {
      breakers: {} as BreakerRegistry,
      cooldowns: new Cooldowns(),
      now: monotonicClock,
      random: Math.random,
    };
    await new ResilientStrategy(Object.assign(scripted, { probe }), SETTINGS, shared).probe?.(
      new AbortController().signal,
    );
    expect(probe).toHaveBeenCalledOnce();
  });
});

describe('repeating', () => {
  it('repeats what was certainly not worked on, after a pause that grows', async () => {
    let failures = 2;
    const { strategy, scripted } = rig(() =>
      failures-- > 0 ? Promise.reject(overloaded()) : Promise.resolve(ANSWER),
    );
    const answered = strategy.complete(call());
    await vi.advanceTimersByTimeAsync(370);
    expect(scripted.calls).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(10); // 500 × (0.5 + 0.5 × 0.5) = 375
    expect(scripted.calls).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(740);
    expect(scripted.calls).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(20); // 750
    expect(scripted.calls).toHaveLength(3);
    expect(await answered).toBe(ANSWER);
  });

  it('repeats a stream that failed before its first event, and never after it', async () => {
    let first = true;
    const before = rig(() => {
      if (!first) return texts('ok');
      first = false;
      return cut(() => Promise.reject(overloaded()));
    });
    const begun = before.strategy.stream(call());
    await vi.advanceTimersByTimeAsync(1000);
    expect(await read((await begun).events)).toBe('ok');
    expect(before.scripted.openStreams).toBe(0);

    const after = rig(() => cut(() => Promise.reject(overloaded()), 'half'));
    const stream = await after.strategy.stream(call());
    expect((await failure(read(stream.events), 20_000)).code).toBe('provider_overloaded');
    expect(after.scripted.calls).toHaveLength(1);
  });

  it.each([
    ['it may have been worked on', broken()],
    ['it was overloaded in the middle of the work', overloaded({ processed: 'unknown' })],
    ['the client was at fault', fault('provider_rejected', { countsAsFailure: false, tryElsewhere: false })],
    ['our key is bad', fault('provider_auth_failed')],
    ['the prompt is too long for it', fault('context_length_exceeded', { countsAsFailure: false })],
    ['it is no error of a provider', new TypeError('a bug')],
  ])('does not repeat when %s', async (_why, error) => {
    const { strategy, scripted } = rig(() => Promise.reject(error));
    expect(await failure(strategy.complete(call()), 60_000)).toBe(error);
    expect(scripted.calls).toHaveLength(1);
  });

  it('gives up after the configured attempts, with the provider’s error', async () => {
    const { strategy, scripted } = rig(() => Promise.reject(overloaded()), {}, false);
    expect((await failure(strategy.complete(call()), 60_000)).code).toBe('provider_overloaded');
    expect(scripted.calls).toHaveLength(3);
  });

  it('tells of every call that it repeats, and when the wait for it is over', async () => {
    const { strategy, scripted } = rig(() => Promise.reject(overloaded()), {}, false);
    const onRepeat = vi.fn();
    const callsAtResume: number[] = [];
    const onResume = (): void => void callsAtResume.push(scripted.calls.length);
    const placement: CallPlacement = { hasAlternative: false, deadlineAtMs: Infinity, onRepeat, onResume };
    await failure(strategy.complete(call({ placement })), 60_000);
    expect(onRepeat.mock.calls.map(([{ error }]) => error.code)).toEqual([
      'provider_overloaded',
      'provider_overloaded',
    ]);
    expect(callsAtResume).toEqual([1, 2]);
  });

  it('does not wait when there is another target, nor beyond the request’s deadline', async () => {
    const { strategy, scripted } = rig(() => Promise.reject(overloaded()), {}, false);
    const placement = { hasAlternative: true, deadlineAtMs: Infinity, onRepeat: () => undefined };
    await failure(strategy.complete(call({ placement })));
    expect(scripted.calls).toHaveLength(1);
    const late = { hasAlternative: false, deadlineAtMs: performance.now() + 300, onRepeat: () => undefined };
    await failure(strategy.complete(call({ placement: late })));
    expect(scripted.calls).toHaveLength(2);
  });

  it('does not wait beyond its own limit, either: the refusal says more than that it took too long', async () => {
    const { strategy, scripted } = rig(() => Promise.reject(rateLimited(7000)), { requestMs: 5000 });
    const placement = { hasAlternative: false, deadlineAtMs: Infinity, onRepeat: () => undefined };
    const error = await failure(strategy.complete(call({ placement })), 10_000);
    expect(error).toMatchObject({ code: 'provider_rate_limited', retryAfterMs: 7000 });
    expect(scripted.calls).toHaveLength(1);
  });

  it('does not blame a repeated call that the refusals have left hardly any time', async () => {
    let calls = 0;
    const late = rig(() => (++calls === 1 ? Promise.reject(rateLimited(6000)) : never()), {
      requestMs: 10_000,
    });
    expect(await failure(late.strategy.complete(call()), 10_000)).toMatchObject({
      code: 'request_timeout',
      countsAsFailure: false,
    });
    expect(late.scripted.calls).toHaveLength(2);
  });

  it('can be switched off', async () => {
    const repeat = { ...SETTINGS.repeat, maxAttempts: 1 };
    const { strategy, scripted } = rig(() => Promise.reject(overloaded()), { repeat });
    await failure(strategy.complete(call()));
    expect(scripted.calls).toHaveLength(1);
  });
});

describe('Retry-After', () => {
  it.each([1000, 9_900])('is waited for: %d ms', async (retryAfterMs) => {
    let first = true;
    const { strategy, scripted } = rig(() => {
      if (!first) return Promise.resolve(ANSWER);
      first = false;
      return Promise.reject(rateLimited(retryAfterMs));
    });
    const answered = strategy.complete(call());
    await vi.advanceTimersByTimeAsync(retryAfterMs - 1);
    expect(scripted.calls).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(300);
    expect(await answered).toBe(ANSWER);
  });

  it('of no time at all is none: the calls are spread as without it', async () => {
    const { strategy, scripted } = rig(() => Promise.reject(rateLimited(0)), {}, false);
    const answered = strategy.complete(call());
    const failed = failure(answered, SETTINGS.repeat.baseDelayMs / 2 - 1);
    await vi.advanceTimersByTimeAsync(0);
    expect(scripted.calls).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(await failed).toMatchObject({ code: 'provider_rate_limited' });
    expect(scripted.calls).toHaveLength(3);
  });

  it.each([10_001, 3_600_000])('ends the attempts when it asks for too much: %d ms', async (retryAfterMs) => {
    const { strategy, scripted } = rig(() => Promise.reject(rateLimited(retryAfterMs)));
    expect((await failure(strategy.complete(call()))).retryAfterMs).toBe(retryAfterMs);
    expect(scripted.calls).toHaveLength(1);
  });

  it('cools the target down, without counting as a failure', async () => {
    const { strategy, breakers, cooldowns } = rig(() => Promise.reject(rateLimited(20_000)));
    for (let index = 0; index < 10; index++) await failure(strategy.complete(call()));
    expect(breakers.snapshot()).toMatchObject([{ state: 'closed', failures: 0 }]);
    expect(cooldowns.leftMs('scripted', 'm')).toBeCloseTo(20_000, -2);
    expect(cooldowns.leftMs('scripted', 'other')).toBe(0);
    await vi.advanceTimersByTimeAsync(20_001);
    expect(cooldowns.leftMs('scripted', 'm')).toBe(0);
    const busy = rig(() => Promise.reject(overloaded({ retryAfterMs: 20_000 })));
    await failure(busy.strategy.complete(call()));
    expect(busy.cooldowns.leftMs('scripted', 'm')).toBe(0);
  });

  it('cools the target down, too, when a stream ends so that had begun', async () => {
    for (const breakerEnabled of [true, false]) {
      const limited = () => Promise.reject(rateLimited(20_000));
      const { strategy, scripted, cooldowns } = rig(() => cut(limited, 'a'), {}, breakerEnabled);
      const { events } = await strategy.stream(call());
      expect((await failure(read(events))).code).toBe('provider_rate_limited');
      expect(cooldowns.leftMs('scripted', 'm')).toBeCloseTo(20_000, -2);
      expect(scripted.calls).toHaveLength(1);
    }
  });
});

describe('the retry budget', () => {
  /** Calls the provider saw for each request, when all fail. */
  async function amplification(requests: number, perSecond: number): Promise<number> {
    const { strategy, scripted } = rig(
      () => Promise.reject(overloaded()),
      { maxConcurrentCalls: 10_000 },
      false,
    );
    const running: Promise<unknown>[] = [];
    for (let index = 0; index < requests; index++) {
      running.push(strategy.complete(call()).catch(() => undefined));
      await vi.advanceTimersByTimeAsync(1000 / perSecond);
    }
    await vi.advanceTimersByTimeAsync(60_000);
    await Promise.all(running);
    return scripted.calls.length / requests;
  }

  it('keeps a failing provider at 1.2 calls a request', async () => {
    const factor = await amplification(2000, 50);
    expect(factor).toBeLessThanOrEqual(1.2);
    expect(factor).toBeGreaterThan(1.15);
  });

  it('still repeats a lonely request’s call', async () => {
    expect(await amplification(1, 1)).toBe(3);
  });
});

describe('the circuit breaker', () => {
  const failing = { value: true };
  const flaky: Script = () => (failing.value ? Promise.reject(broken()) : Promise.resolve(ANSWER));

  async function open(target: Rig): Promise<void> {
    failing.value = true;
    for (let index = 0; index < THRESHOLD; index++) await failure(target.strategy.complete(call()));
  }

  it('opens after so many failures in a row and refuses without asking, naming the time', async () => {
    const target = rig(flaky);
    await open(target);
    const refused = await failure(target.strategy.complete(call()));
    expect(refused).toMatchObject({
      code: 'circuit_open',
      processed: 'no',
      tryElsewhere: true,
      countsAsFailure: false,
    });
    expect(refused.retryAfterMs).toBeCloseTo(RECOVERY_MS, -2);
    expect(target.scripted.calls).toHaveLength(THRESHOLD);
    expect(target.breakers.refuses('scripted', 'm')).toBe(true);
    expect(target.events).toEqual([
      { kind: 'breaker', provider: 'scripted', model: 'm', state: 'open', cause: 'provider_bad_response' },
    ]);
    const [snapshot] = target.breakers.snapshot();
    expect(snapshot).toMatchObject({ provider: 'scripted', model: 'm', state: 'open', failures: THRESHOLD });
    expect(snapshot!.nextAttemptAt!.getTime() - snapshot!.openedAt!.getTime()).toBeCloseTo(RECOVERY_MS, -2);
  });

  it('is one per model', async () => {
    const target = rig(flaky);
    await open(target);
    failing.value = false;
    expect(await target.strategy.complete(call({ upstreamModel: 'other' }))).toBe(ANSWER);
  });

  it('lets one probe through after the recovery time, refuses the others meanwhile, and closes on success', async () => {
    const target = rig((signal) =>
      failing.value ? flaky(signal, call()) : new Promise((resolve) => setTimeout(resolve, 100, ANSWER)),
    );
    await open(target);
    const openedAt = new Date();
    failing.value = false;
    await vi.advanceTimersByTimeAsync(RECOVERY_MS - 1);
    expect((await failure(target.strategy.complete(call()))).code).toBe('circuit_open');
    await vi.advanceTimersByTimeAsync(1);
    const probe = target.strategy.complete(call());
    expect((await failure(target.strategy.complete(call()))).code).toBe('circuit_open');
    expect(target.breakers.snapshot()[0]!.state).toBe('half_open');
    await vi.advanceTimersByTimeAsync(100);
    expect(await probe).toBe(ANSWER);
    expect(target.breakers.snapshot()[0]).toMatchObject({
      state: 'closed',
      failures: 0,
      openedAt: undefined,
      lastFailure: { at: openedAt, code: 'provider_bad_response' },
    });
  });

  it('counts anew after a stream that ended well', async () => {
    let fails = true;
    const target = rig(() => (fails ? Promise.reject(broken()) : texts('ok')));
    for (let round = 1; round < THRESHOLD; round++) await failure(target.strategy.stream(call()));
    expect(target.breakers.snapshot()[0]!.failures).toBe(THRESHOLD - 1);
    fails = false;
    expect(await read((await target.strategy.stream(call())).events)).toBe('ok');
    expect(target.breakers.snapshot()[0]).toMatchObject({ state: 'closed', failures: 0 });
  });

  it('opens again when the probe fails', async () => {
    const target = rig(flaky);
    await open(target);
    await vi.advanceTimersByTimeAsync(RECOVERY_MS);
    expect((await failure(target.strategy.complete(call()))).code).toBe('provider_bad_response');
    expect((await failure(target.strategy.complete(call()))).code).toBe('circuit_open');
    expect(target.scripted.calls).toHaveLength(THRESHOLD + 1);
  });

  it('closes when the probe is refused for the client’s fault: the provider has answered', async () => {
    const target = rig(() =>
      Promise.reject(
        failing.value
          ? broken()
          : fault('provider_rejected', { countsAsFailure: false, tryElsewhere: false }),
      ),
    );
    await open(target);
    failing.value = false;
    await vi.advanceTimersByTimeAsync(RECOVERY_MS);
    await failure(target.strategy.complete(call()));
    expect(target.breakers.snapshot()[0]!.state).toBe('closed');
  });

  it('lets the next call probe at once when the client of a probe has left', async () => {
    const target = rig((signal) => (failing.value ? flaky(signal, call()) : never()));
    await open(target);
    failing.value = false;
    await vi.advanceTimersByTimeAsync(RECOVERY_MS);
    const client = new AbortController();
    const probe = failure(target.strategy.complete(call({ signal: client.signal })));
    client.abort();
    expect((await probe).name).toBe('AbortError');
    expect(target.breakers.snapshot()[0]!.state).toBe('open');
    expect(target.breakers.refuses('scripted', 'm')).toBe(false);
  });

  describe('with a probe under way', () => {
    /** As many probes as asked for, each ended by hand. */
    async function probing() {
      const pending: PromiseWithResolvers<ProviderAnswer>[] = [];
      const target = rig(() => {
        if (failing.value) return Promise.reject(broken());
        const answer = Promise.withResolvers<ProviderAnswer>();
        pending.push(answer);
        return answer.promise;
      });
      await open(target);
      failing.value = false;
      await vi.advanceTimersByTimeAsync(RECOVERY_MS);
      const state = (): string => target.breakers.snapshot()[0]!.state;
      const ask = (overrides?: Partial<ProviderCall>) => failure(target.strategy.complete(call(overrides)));
      return { ...target, pending, state, ask };
    }

    it('lets another go when that one takes as long as a recovery', async () => {
      const { strategy, pending, state, ask } = await probing();
      const slow = strategy.complete(call());
      await vi.advanceTimersByTimeAsync(RECOVERY_MS - 1);
      expect((await ask()).code).toBe('circuit_open');
      await vi.advanceTimersByTimeAsync(1);
      const second = strategy.complete(call());
      expect((await ask()).code).toBe('circuit_open');
      expect(pending).toHaveLength(2);
      pending[1]!.resolve(ANSWER);
      expect(await second).toBe(ANSWER);
      expect(state()).toBe('closed');
      // what the first one says now is not heeded any more
      pending[0]!.reject(broken());
      expect((await failure(slow)).code).toBe('provider_bad_response');
      expect(state()).toBe('closed');
    });

    it('opens again with the first that fails, and does not heed the other', async () => {
      const { strategy, pending, state, ask } = await probing();
      const slow = strategy.complete(call());
      await vi.advanceTimersByTimeAsync(RECOVERY_MS);
      const second = failure(strategy.complete(call()));
      pending[1]!.reject(broken());
      await second;
      expect(state()).toBe('open');
      pending[0]!.resolve(ANSWER);
      expect(await slow).toBe(ANSWER);
      expect(state()).toBe('open');
      expect((await ask()).code).toBe('circuit_open');
      await vi.advanceTimersByTimeAsync(RECOVERY_MS);
      void strategy.complete(call());
      expect(state()).toBe('half_open');
    });

    it('goes on waiting for the one whose client is there, when the other’s has left', async () => {
      const { strategy, pending, state } = await probing();
      const slow = strategy.complete(call());
      await vi.advanceTimersByTimeAsync(RECOVERY_MS);
      const client = new AbortController();
      const gone = failure(strategy.complete(call({ signal: client.signal })));
      client.abort();
      await gone;
      expect(state()).toBe('half_open');
      pending[0]!.resolve(ANSWER);
      await slow;
      expect(state()).toBe('closed');
    });

    it('learns nothing from one that had hardly any time left', async () => {
      const { state, ask, breakers } = await probing();
      const placement = {
        hasAlternative: false,
        deadlineAtMs: performance.now() + 100,
        onRepeat: () => undefined,
      };
      const late = ask({ placement });
      await vi.advanceTimersByTimeAsync(100);
      expect((await late).code).toBe('request_timeout');
      expect(state()).toBe('open');
      expect(breakers.refuses('scripted', 'm')).toBe(false);
    });

    it('leaves the place of one that the bulkhead does not let in to the next', async () => {
      const target = rig(() => (failing.value ? Promise.reject(broken()) : never()), {
        maxConcurrentCalls: 1,
      });
      await open(target);
      failing.value = false;
      void target.strategy.complete(call({ upstreamModel: 'other' }));
      await vi.advanceTimersByTimeAsync(RECOVERY_MS);
      expect((await failure(target.strategy.complete(call()))).code).toBe('bulkhead_full');
      expect(target.breakers.refuses('scripted', 'm')).toBe(false);
    });
  });

  it('does not heed a wall clock that is set', async () => {
    const target = rig(flaky);
    await open(target);
    failing.value = false;
    vi.setSystemTime(Date.now() - 3_600_000);
    await vi.advanceTimersByTimeAsync(RECOVERY_MS);
    expect(await target.strategy.complete(call())).toBe(ANSWER);
    await open(target);
    vi.setSystemTime(Date.now() + 3_600_000);
    expect((await failure(target.strategy.complete(call()))).code).toBe('circuit_open');
  });

  it('counts streams that break in the middle, also the one after a probe', async () => {
    const target = rig(() => cut(() => Promise.reject(broken()), 'half'));
    for (let index = 0; index < THRESHOLD; index++) {
      const { events } = await target.strategy.stream(call());
      await failure(read(events));
    }
    expect(target.breakers.snapshot()[0]!.state).toBe('open');
    await vi.advanceTimersByTimeAsync(RECOVERY_MS);
    const { events } = await target.strategy.stream(call());
    await vi.advanceTimersByTimeAsync(0);
    expect(target.breakers.snapshot()[0]).toMatchObject({ state: 'closed', failures: 0 });
    await failure(read(events));
    expect(target.breakers.snapshot()[0]).toMatchObject({ state: 'closed', failures: 1 });
  });

  it('counts neither clients’ faults nor clients that leave', async () => {
    const rejecting = rig(() =>
      Promise.reject(fault('provider_rejected', { countsAsFailure: false, tryElsewhere: false })),
    );
    for (let index = 0; index < 10; index++) await failure(rejecting.strategy.complete(call()));
    const hanging = rig(() => never());
    for (let index = 0; index < 10; index++) {
      const client = new AbortController();
      const gone = failure(hanging.strategy.complete(call({ signal: client.signal })));
      client.abort();
      await gone;
    }
    for (const { breakers } of [rejecting, hanging]) {
      expect(breakers.snapshot()[0]).toMatchObject({ state: 'closed', failures: 0 });
    }
  });

  it('can be switched off', async () => {
    const target = rig(flaky, {}, false);
    await open(target);
    await open(target);
    expect(target.scripted.calls).toHaveLength(2 * THRESHOLD);
    expect(target.breakers.snapshot()).toEqual([]);
  });
});

describe('limits of time', () => {
  it('ends a stream whose first event does not come, so that another target can be tried', async () => {
    const { strategy, scripted, breakers } = rig(() => cut(never));
    const error = await failure(strategy.stream(call()), SETTINGS.firstChunkMs);
    expect(error).toMatchObject({ code: 'first_chunk_timeout', processed: 'unknown', tryElsewhere: true });
    expect(scripted.calls[0]!.signal.reason).toBe(error);
    expect(breakers.snapshot()[0]!.failures).toBe(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('waits for the first event of each attempt anew, and lets the one that began go on', async () => {
    let failures = 1;
    async function* slow(): AsyncGenerator<ChatStreamEvent> {
      for (let index = 0; index < 8; index++) {
        yield event('x');
        await new Promise((resolve) => setTimeout(resolve, 1000));
      }
    }
    const { strategy } = rig(() => (failures-- > 0 ? Promise.reject(overloaded()) : slow()));
    const text = strategy.stream(call()).then(({ events }) => read(events));
    await vi.advanceTimersByTimeAsync(2 * SETTINGS.firstChunkMs);
    expect(await text).toBe('xxxxxxxx');
    expect(vi.getTimerCount()).toBe(0);
  });

  it('closes a stream that comes too late, from a strategy that does not heed its signal', async () => {
    const { strategy, scripted } = rig(
      () =>
        new Promise((resolve) =>
          setTimeout(resolve, 8000, texts('late')),
        ) as unknown as Promise<ProviderAnswer>,
    );
    expect((await failure(strategy.stream(call()), SETTINGS.firstChunkMs)).code).toBe('first_chunk_timeout');
    await vi.advanceTimersByTimeAsync(8000);
    expect(scripted.openStreams).toBe(0);
  });

  it('ends a stream that stops in the middle', async () => {
    const { strategy, scripted, breakers } = rig(() => cut(never, 'a', 'b'));
    const { events } = await strategy.stream(call());
    const error = await failure(read(events), SETTINGS.streamIdleMs);
    expect(error).toMatchObject({ code: 'stream_idle_timeout', tryElsewhere: false });
    expect(scripted.calls[0]!.signal.reason).toBe(error);
    expect(breakers.snapshot()[0]!.failures).toBe(1);
  });

  it('does not take a slow reader for a slow provider', async () => {
    const { strategy } = rig(() => texts('a', 'b', 'c'));
    const events = (await strategy.stream(call())).events[Symbol.asyncIterator]();
    for (const text of ['a', 'b', 'c']) {
      expect((await events.next()).value?.outputText).toBe(text);
      await vi.advanceTimersByTimeAsync(3 * SETTINGS.streamIdleMs);
    }
    expect((await events.next()).done).toBe(true);
  });

  it('counts each pause anew', async () => {
    async function* slow(): AsyncGenerator<ChatStreamEvent> {
      for (let index = 0; index < 5; index++) {
        await new Promise((resolve) => setTimeout(resolve, SETTINGS.streamIdleMs - 100));
        yield event('x');
      }
    }
    const { strategy } = rig(() => slow(), { firstChunkMs: 10_000 });
    const text = strategy.stream(call()).then(({ events }) => read(events));
    await vi.advanceTimersByTimeAsync(5 * SETTINGS.streamIdleMs);
    expect(await text).toBe('xxxxx');
  });

  it('ends everything when the request has taken too long, and blames only who has not begun', async () => {
    const whole = rig(() => never());
    expect((await failure(whole.strategy.complete(call()), SETTINGS.requestMs)).code).toBe('request_timeout');
    expect(whole.breakers.snapshot()[0]!.failures).toBe(1);

    async function* endless(): AsyncGenerator<ChatStreamEvent> {
      for (;;) {
        await new Promise((resolve) => setTimeout(resolve, 1000));
        yield event('x');
      }
    }
    const long = rig(() => endless());
    const text = strategyText(long);
    expect((await failure(text, SETTINGS.requestMs)).code).toBe('request_timeout');
    expect(long.breakers.snapshot()[0]!.failures).toBe(0);
  });

  it('lets another provider be tried when its own time is over, and the request’s is not', async () => {
    const left = async (deadlineAtMs: number) => {
      const { strategy } = rig(() => never(), { requestMs: 4_000 });
      const placement = { hasAlternative: true, deadlineAtMs, onRepeat: () => undefined };
      const work = strategy.complete(call({ placement }));
      return failure(work, 4_000);
    };
    const own = { code: 'request_timeout', processed: 'unknown', countsAsFailure: true };
    expect(await left(performance.now() + 10_000)).toMatchObject({ ...own, tryElsewhere: true });
    expect(await left(performance.now() + 3_999)).toMatchObject({ ...own, tryElsewhere: false });
  });

  it('keeps to the deadline of the request when that is nearer', async () => {
    const { strategy } = rig(() => never());
    const placement = {
      hasAlternative: false,
      deadlineAtMs: performance.now() + 700,
      onRepeat: () => undefined,
    };
    expect((await failure(strategy.complete(call({ placement })), 700)).code).toBe('request_timeout');
  });

  it('does not blame a provider that others have left hardly any time', async () => {
    const { strategy, breakers } = rig(() => never());
    const placement = (leftMs: number) => ({
      hasAlternative: false,
      deadlineAtMs: performance.now() + leftMs,
      onRepeat: () => undefined,
    });
    const late = await failure(strategy.complete(call({ placement: placement(700) })), 700);
    expect(late).toMatchObject({ code: 'request_timeout', countsAsFailure: false });
    expect(breakers.snapshot()).toMatchObject([{ failures: 0 }]);
    const inTime = await failure(strategy.complete(call({ placement: placement(59_000) })), 59_000);
    expect(inTime).toMatchObject({ code: 'request_timeout', countsAsFailure: true });
    expect(breakers.snapshot()).toMatchObject([{ failures: 1 }]);
  });

  const strategyText = ({ strategy }: Rig): Promise<string> =>
    strategy.stream(call()).then(({ events }) => read(events));
});

describe('a client that leaves', () => {
  it('ends the call with its reason, also between two attempts, and frees the slot', async () => {
    const { strategy, scripted } = rig(() => Promise.reject(overloaded()), { maxConcurrentCalls: 1 });
    const client = new AbortController();
    const gone = failure(strategy.complete(call({ signal: client.signal })), 100);
    const reason = new Error('the client has left');
    client.abort(reason);
    expect(await gone).toBe(reason);
    expect(scripted.calls).toHaveLength(1);
    expect((await failure(strategy.complete(call()), 60_000)).code).toBe('provider_overloaded');
  });

  it('is not asked for when it had left before', async () => {
    const { strategy, scripted } = rig(() => Promise.resolve(ANSWER));
    expect((await failure(strategy.complete(call({ signal: AbortSignal.abort() })))).name).toBe('AbortError');
    expect(scripted.calls).toHaveLength(0);
  });

  it('ends a stream with its reason, never as if it were complete', async () => {
    const client = new AbortController();
    const { strategy } = rig(() => cut(never, 'a'));
    const { events } = await strategy.stream(call({ signal: client.signal }));
    const iterator = events[Symbol.asyncIterator]();
    await iterator.next();
    const reason = new Error('draining');
    client.abort(reason);
    expect(await failure(iterator.next())).toBe(reason);
    expect(await failure(iterator.next())).toBe(reason);
  });
});

describe('the bulkhead', () => {
  it('refuses what is too much, and holds a slot for the whole of a stream', async () => {
    const { strategy } = rig(() => cut(never, 'a'), { maxConcurrentCalls: 2 });
    const first = await strategy.stream(call());
    await strategy.stream(call());
    const refused = await failure(strategy.stream(call()));
    expect(refused).toMatchObject({
      code: 'bulkhead_full',
      processed: 'no',
      tryElsewhere: true,
      retryAfterMs: 1000,
    });
    await first.events[Symbol.asyncIterator]().return?.();
    await vi.advanceTimersByTimeAsync(0);
    await strategy.stream(call());
  });

  it('leaks no slot, no timer and no upstream stream, however calls end', async () => {
    const endings = [
      'read',
      'return-at-once',
      'return-midway',
      'return-while-waiting',
      'abort',
      'abort-before',
      'break',
      'hang',
      'fail',
      'complete',
    ] as const;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(...endings), { minLength: 10, maxLength: 30 }),
        async (plan) => {
          const target = rig(
            (_signal, { requestId }) => script(requestId as (typeof endings)[number]),
            {},
            false,
          );
          for (const ending of plan) {
            await run(target, ending);
            await vi.advanceTimersByTimeAsync(0);
          }
          const stillFits = Array.from({ length: SETTINGS.maxConcurrentCalls }, () =>
            target.strategy.complete(call({ requestId: 'complete' })),
          );
          await vi.advanceTimersByTimeAsync(100);
          await Promise.all(stillFits);
          expect(target.scripted.openStreams).toBe(0);
          expect(vi.getTimerCount()).toBe(0);
        },
      ),
      { numRuns: 40 },
    );

    function script(ending: (typeof endings)[number]): ReturnType<Script> {
      switch (ending) {
        case 'complete':
          return new Promise((resolve) => setTimeout(resolve, 50, ANSWER));
        case 'fail':
          return Promise.reject(broken());
        case 'break':
          return cut(() => Promise.reject(broken()), 'a', 'b');
        case 'read':
        case 'return-at-once':
        case 'return-midway':
          return texts('a', 'b', 'c');
        default:
          return cut(never, 'a');
      }
    }

    async function run({ strategy }: Rig, ending: (typeof endings)[number]): Promise<void> {
      const client = new AbortController();
      const asked = call({ requestId: ending, signal: client.signal });
      if (ending === 'complete' || ending === 'fail') {
        await Promise.all([
          strategy.complete(asked).catch(() => undefined),
          vi.advanceTimersByTimeAsync(100),
        ]);
        return;
      }
      if (ending === 'abort-before') {
        client.abort();
        await strategy.stream(asked).catch(() => undefined);
        return;
      }
      const events = (await strategy.stream(asked)).events[Symbol.asyncIterator]();
      if (ending !== 'return-at-once') await events.next();
      if (ending === 'abort') client.abort();
      else if (ending.startsWith('return')) {
        const waiting = ending === 'return-while-waiting' ? events.next() : undefined;
        await events.return?.();
        expect((await waiting)?.done ?? true).toBe(true);
        expect((await events.next()).done).toBe(true);
      } else
        await Promise.all([
          rest(events).catch(() => undefined),
          vi.advanceTimersByTimeAsync(SETTINGS.streamIdleMs),
        ]);
    }

    async function rest(events: AsyncIterator<ChatStreamEvent>): Promise<void> {
      while (!(await events.next()).done);
    }
  });
});

describe('a reader in a hurry', () => {
  it('may ask for the next event before it has the last', async () => {
    const { strategy } = rig(() => texts('a', 'b', 'c'));
    const events = (await strategy.stream(call())).events[Symbol.asyncIterator]();
    const steps = await Promise.all([events.next(), events.next(), events.next(), events.next()]);
    expect(steps.map((step) => (step.done ? 'end' : step.value.outputText))).toEqual(['a', 'b', 'c', 'end']);
  });
});
