import {
  type ChatStreamEvent,
  type GatewayErrorCode,
  ProviderError,
  type ProviderStrategy,
} from '@app/contracts';
import { eventually, FakeUpstream } from '@app/testing';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { AppConfig } from '../../src/config/app-config.js';
import { closeLightFetch, createLightFetch, type LightFetch } from '../../src/providers/http/light-fetch.js';
import { createOpenAiCompatible } from '../../src/providers/openai-compatible/index.js';
import { BreakerRegistry } from '../../src/providers/resilience/breaker-registry.service.js';
import { Cooldowns } from '../../src/providers/resilience/cooldowns.service.js';
import { ResilienceDecorator } from '../../src/providers/resilience/resilience-decorator.service.js';
import { type CallTemplate, Dispatcher } from '../../src/routing/dispatcher.service.js';
import { LatencyBook } from '../../src/routing/latency-book.service.js';
import type { PlannedTarget, RoutePlan } from '../../src/routing/route-plan.js';
import { TargetAvailability } from '../../src/routing/target-availability.service.js';
import { type AttemptRecord, Telemetry } from '../../src/telemetry/telemetry.js';

const FIRST_CHUNK_MS = 400;
const IDLE_MS = 300;
const RECOVERY_MS = 400;
const SLOTS = 5;

let upstream: FakeUpstream;
let fetch: LightFetch;

beforeAll(async () => {
  upstream = await FakeUpstream.start();
  fetch = createLightFetch();
});
beforeEach(() => upstream.reset());
afterAll(async () => {
  await closeLightFetch(fetch);
  await upstream[Symbol.asyncDispose]();
});

interface Rig {
  readonly dispatcher: Dispatcher;
  readonly breakers: BreakerRegistry;
  readonly cooldowns: Cooldowns;
  readonly plan: RoutePlan;
}

/** The real strategy under the real policies, for two targets at two providers that are one server. */
async function rig(): Promise<Rig> {
  const config = {
    retry: { enabled: true, maxAttempts: 3, baseDelayMs: 10, maxDelayMs: 2000 },
    circuitBreaker: { enabled: true, failureThreshold: 3, recoveryTimeoutMs: RECOVERY_MS },
    timeouts: { connectMs: 1000, firstChunkMs: FIRST_CHUNK_MS, streamIdleMs: IDLE_MS, requestMs: 5000 },
    concurrency: { perProvider: SLOTS },
  } as AppConfig;
  const [breakers, cooldowns] = [new BreakerRegistry(config, new Telemetry()), new Cooldowns()];
  const decorator = new ResilienceDecorator(config, breakers, cooldowns);
  const strategies = new Map<string, ProviderStrategy>();
  for (const name of ['one', 'two']) {
    const settings = { baseUrl: `${upstream.url}/v1`, apiKey: 'sk-test' };
    strategies.set(name, decorator.decorate(await createOpenAiCompatible(name, settings, { fetch })));
  }
  const registry = { get: (name: string) => strategies.get(name)! };
  const availability = new TargetAvailability(breakers, cooldowns);
  const dispatcher = new Dispatcher(registry, availability, new LatencyBook(), config);
  return { dispatcher, breakers, cooldowns, plan: planOf('one', 'two') };
}

/** Upstream models are called as their providers; each of another model, so that a repeated call stays a repeated call. */
function planOf(...providers: string[]): RoutePlan {
  const targets = providers.map(
    (provider) =>
      ({
        provider,
        upstreamModel: provider,
        weight: 1,
        contextWindow: 1e5,
        maxOutputTokens: 1000,
        modelId: provider,
      }) as PlannedTarget,
  );
  return { model: { id: providers[0] }, targets } as unknown as RoutePlan;
}

function template(signal = new AbortController().signal): CallTemplate {
  const request = { model: 'one', messages: [{ role: 'user' as const, content: 'say something' }] };
  return {
    request,
    clientModel: 'one',
    maxOutputTokens: undefined,
    requestId: 'r',
    signal,
    dropUnsupported: false,
  };
}

const codeOf = (work: Promise<unknown>): Promise<GatewayErrorCode | 'none' | 'other'> =>
  work.then(
    () => 'none',
    (error: unknown) => (error instanceof ProviderError ? error.code : 'other'),
  );

const models = async (): Promise<string[]> =>
  (await upstream.completions()).map(({ body }) => (JSON.parse(body) as { model: string }).model);

async function read(events: AsyncIterable<ChatStreamEvent>): Promise<string> {
  let text = '';
  for await (const { outputText } of events) text += outputText;
  return text;
}

const status = (code: number, headers: Record<string, string> = {}) => ({
  status: code,
  headers,
  body: { json: { error: { message: 'no', type: 'server_error', param: null, code: null } } },
});

describe('a target that fails', () => {
  it.each([
    ['overloaded: repeated, then the next', 503, ['one', 'one', 'one', 'two']],
    ['broken by its own word: the next at once', 500, ['one', 'two']],
    ['a bad key of ours: the next at once', 401, ['one', 'two']],
  ])('%s', async (_what, code, expected) => {
    const { dispatcher, plan } = await rig();
    await upstream.answerAlways(status(code), { model: 'one' });
    const attempts: AttemptRecord[] = [];
    const { target } = await dispatcher.complete(plan, template(), (attempt) => attempts.push(attempt));
    expect(target.provider).toBe('two');
    expect(await models()).toEqual(expected);
    expect(attempts).toHaveLength(expected.length);
  });

  it('by the client’s fault: nobody else is asked', async () => {
    const { dispatcher, plan } = await rig();
    await upstream.answerAlways({
      ...status(400),
      body: { json: { error: { message: 'bad image', type: 'invalid_request_error' } } },
    });
    expect(await codeOf(dispatcher.complete(plan, template()))).toBe('provider_rejected');
    expect(await models()).toEqual(['one']);
  });

  it('by a connection that broke after the request was sent: nobody pays twice', async () => {
    const { dispatcher, plan } = await rig();
    await upstream.answerAlways({ fault: { kind: 'reset', afterBytes: 'before-headers' } }, { model: 'one' });
    expect(await codeOf(dispatcher.complete(plan, template()))).toBe('provider_bad_response');
    expect(await models()).toEqual(['one']);
  });
});

describe('Retry-After', () => {
  it('of a second is waited for, on the same target', async () => {
    const { dispatcher, plan } = await rig();
    await upstream.answerNext(status(429, { 'retry-after': '1' }), { model: 'one' });
    const startedMs = performance.now();
    expect((await dispatcher.complete(plan, template())).target.provider).toBe('one');
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(1000);
  });

  it.each(['3600', new Date(Date.now() + 3_600_000).toUTCString()])(
    'of %s sends the request to the next target',
    async (value) => {
      const { dispatcher, plan, cooldowns, breakers } = await rig();
      await upstream.answerAlways(status(429, { 'retry-after': value }), { model: 'one' });
      expect((await dispatcher.complete(plan, template())).target.provider).toBe('two');
      expect(await models()).toEqual(['one', 'two']);
      expect(cooldowns.leftMs('one', 'one')).toBeGreaterThan(500_000);
      expect(breakers.snapshot().find(({ provider }) => provider === 'one')).toMatchObject({
        state: 'closed',
        failures: 0,
      });
    },
  );

  it('that means nothing is taken for none', async () => {
    const { dispatcher, plan } = await rig();
    await upstream.answerNext(status(429, { 'retry-after': 'soon' }), { model: 'one' });
    expect((await dispatcher.complete(plan, template())).target.provider).toBe('one');
    expect(await models()).toEqual(['one', 'one']);
  });
});

describe('a stream', () => {
  it('whose first event does not come goes to the next target, and the upstream is let go', async () => {
    const { dispatcher, plan } = await rig();
    await upstream.answerAlways(
      { body: { builtIn: true }, fault: { kind: 'stall', afterBytes: 0 } },
      { model: 'one' },
    );
    const startedMs = performance.now();
    const { target, stream } = await dispatcher.stream(plan, template());
    expect(target.provider).toBe('two');
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(FIRST_CHUNK_MS - 20);
    expect(await read(stream.events)).not.toBe('');
  });

  it('that stops in the middle ends with an error, and is not begun again', async () => {
    const { dispatcher, plan } = await rig();
    await upstream.answerAlways(
      { body: { builtIn: true }, fault: { kind: 'stall', afterBytes: 600 } },
      { model: 'one' },
    );
    const { stream } = await dispatcher.stream(plan, template());
    expect(await codeOf(read(stream.events))).toBe('stream_idle_timeout');
    expect(await models()).toEqual(['one']);
  });

  it('holds its slot until it is over, however that comes', async () => {
    const { dispatcher } = await rig();
    const alone = planOf('one');
    await upstream.answerAlways(
      { body: { builtIn: true }, fault: { kind: 'stall', afterBytes: 600 } },
      { model: 'one' },
    );
    const clients = Array.from({ length: SLOTS }, () => new AbortController());
    const streams = await Promise.all(
      clients.map(({ signal }) => dispatcher.stream(alone, template(signal))),
    );
    expect(await codeOf(dispatcher.stream(alone, template()))).toBe('bulkhead_full');
    for (const [index, client] of clients.entries()) {
      if (index % 2 === 0) client.abort();
      else await streams[index]!.stream.events[Symbol.asyncIterator]().return?.();
    }
    await sleep(0);
    const next = await Promise.all(clients.map(() => dispatcher.stream(alone, template())));
    for (const { stream } of next) await stream.events[Symbol.asyncIterator]().return?.();
  });
});

describe('the breaker', () => {
  it('opens within a moment of an outage and closes soon after it', async () => {
    const { dispatcher, breakers } = await rig();
    const alone = planOf('one');
    await upstream.answerAlways(status(500), { model: 'one' });
    const outageMs = performance.now();
    await eventually(
      'open',
      async () => (await codeOf(dispatcher.complete(alone, template()))) === 'circuit_open',
    );
    expect(performance.now() - outageMs).toBeLessThan(2000);
    expect(await models()).toHaveLength(3);
    await upstream.reset();
    const healedMs = performance.now();
    await eventually(
      'served again',
      async () => (await codeOf(dispatcher.complete(alone, template()))) === 'none',
    );
    expect(performance.now() - healedMs).toBeLessThan(RECOVERY_MS + 1000);
    expect(breakers.snapshot()[0]!.state).toBe('closed');
  });
});

describe('a provider that fails everything for a while', () => {
  it('sees at most 1.2 calls a request', async () => {
    const { dispatcher } = await rig();
    await upstream.answerAlways(status(429), { model: 'one' }); // no failure for the breaker: only the budget bounds it
    const requests = 300;
    const alone = planOf('one');
    for (let sent = 0; sent < requests; sent += SLOTS) {
      await Promise.all(Array.from({ length: SLOTS }, () => codeOf(dispatcher.complete(alone, template()))));
    }
    const factor = (await models()).length / requests;
    expect(factor).toBeLessThanOrEqual(1.2);
    expect(factor).toBeGreaterThan(1.1);
  });
});
