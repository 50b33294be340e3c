import {
  type ChatStreamEvent,
  GatewayError,
  type GatewayErrorCode,
  type ProviderAnswer,
  ProviderError,
  type ProviderErrorOptions,
} from '@app/contracts';
import { describe, expect, it } from 'vitest';
import { event, type Script, ScriptedStrategy } from '../../test/support/scripted-strategy.js';
import type { AppConfig } from '../config/app-config.js';
import { ConnectionError } from '../providers/http/connection-failure.js';
import type { AttemptRecord } from '../telemetry/telemetry.js';
import { type CallTemplate, Dispatcher } from './dispatcher.service.js';
import { LatencyBook } from './latency-book.service.js';
import type { PlannedTarget, RoutePlan } from './route-plan.js';
import type { Availability } from './target-availability.service.js';

const ANSWER = {
  droppedParams: [],
  usage: undefined,
  providerRequestId: 'up-1',
  completion: {},
} as unknown as ProviderAnswer;

function fault(code: GatewayErrorCode, options: Partial<ProviderErrorOptions> = {}): ProviderError {
  return new ProviderError(code, code, {
    processed: 'no',
    countsAsFailure: true,
    tryElsewhere: true,
    ...options,
  });
}

interface TargetScript extends Partial<PlannedTarget> {
  readonly does: Script;
}

interface Rig {
  readonly dispatcher: Dispatcher;
  readonly plan: RoutePlan;
  readonly strategies: readonly ScriptedStrategy[];
  readonly attempts: AttemptRecord[];
  readonly latencies: LatencyBook;
}

/** One provider for each script: p0, p1, … */
function rig(scripts: readonly TargetScript[], availability: Availability = 'ok', requestMs = 60_000): Rig {
  const strategies = scripts.map(({ does }) => new ScriptedStrategy(does));
  const targets = scripts.map(
    ({ does: _does, ...overrides }, index) =>
      ({
        provider: `p${index}`,
        upstreamModel: `u${index}`,
        weight: 1,
        contextWindow: 1000,
        maxOutputTokens: 100,
        modelId: 'a',
        reason: 'weight',
        ...overrides,
      }) as PlannedTarget,
  );
  const latencies = new LatencyBook();
  const registry = { get: (name: string) => strategies[Number(name.slice(1))]! };
  const config = { timeouts: { requestMs } } as AppConfig;
  const dispatcher = new Dispatcher(registry, { of: () => availability }, latencies, config);
  return {
    dispatcher,
    plan: { model: { id: 'a' }, targets } as unknown as RoutePlan,
    strategies,
    attempts: [],
    latencies,
  };
}

function template(overrides: Partial<CallTemplate> = {}): CallTemplate {
  return {
    request: { model: 'a', messages: [] },
    clientModel: 'a',
    maxOutputTokens: undefined,
    requestId: 'r',
    signal: new AbortController().signal,
    dropUnsupported: false,
    ...overrides,
  };
}

const answers: Script = () => Promise.resolve(ANSWER);
const fails =
  (error: unknown): Script =>
  () =>
    Promise.reject(error);

function complete(of: Rig, call = template()): ReturnType<Dispatcher['complete']> {
  return of.dispatcher.complete(of.plan, call, (attempt) => of.attempts.push(attempt));
}

async function failure(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => new Error('it worked'),
    (error: unknown) => error,
  );
}

const calls = ({ strategies }: Rig): number[] => strategies.map((strategy) => strategy.calls.length);
const outcomes = ({ attempts }: Rig): string[] =>
  attempts.map(({ provider, outcome }) => `${provider} ${outcome}`);

describe('Dispatcher', () => {
  it('asks the first target, with its own name and limit, and tells how it went', async () => {
    const of = rig([{ does: answers, maxOutputTokens: 50 }, { does: answers }]);
    const dispatched = await complete(of, template({ maxOutputTokens: 80 }));
    expect(dispatched.answer).toBe(ANSWER);
    expect(dispatched.target.provider).toBe('p0');
    expect(of.strategies[0]!.calls[0]).toMatchObject({
      upstreamModel: 'u0',
      maxOutputTokens: 50,
      clientModel: 'a',
    });
    expect(of.attempts).toMatchObject([
      {
        provider: 'p0',
        upstreamModel: 'u0',
        outcome: 'ok',
        timeToFirstChunkMs: undefined,
        providerRequestId: 'up-1',
      },
    ]);
    expect(of.latencies.averageMs('p0', 'u0', 'whole')).toBeDefined();
  });

  it('tells what went wrong below HTTP, however deep the cause is', async () => {
    const refused = new ConnectionError('refused', 'no', 'ECONNREFUSED');
    const cause = new Error('Connection error.', { cause: refused });
    const of = rig([{ does: fails(fault('provider_overloaded', { cause })) }, { does: answers }]);
    await complete(of);
    expect(of.attempts.map(({ connectionFailure }) => connectionFailure)).toEqual(['refused', undefined]);
  });

  it('names no limit where the hold covers the model’s own', async () => {
    const of = rig([{ does: answers }]);
    await complete(of);
    expect(of.strategies[0]!.calls[0]!.maxOutputTokens).toBeUndefined();
  });

  it('gives a stream once its first event is there', async () => {
    async function* one(): AsyncGenerator<ChatStreamEvent> {
      yield event('x');
    }
    const of = rig([{ does: () => one() }]);
    const { stream } = await of.dispatcher.stream(of.plan, template(), (attempt) =>
      of.attempts.push(attempt),
    );
    expect(of.attempts).toMatchObject([{ outcome: 'ok' }]);
    expect(of.attempts[0]!.timeToFirstChunkMs).toBe(of.attempts[0]!.durationMs);
    for await (const { outputText } of stream.events) expect(outputText).toBe('x');
  });

  it.each([
    ['was not worked on', fault('provider_overloaded')],
    ['was rate limited', fault('provider_rate_limited', { countsAsFailure: false })],
    ['was not even sent', fault('circuit_open')],
    [
      'was said to have failed',
      fault('provider_bad_response', { processed: 'unknown', upstreamStatus: 500 }),
    ],
    ['did not begin in time', fault('first_chunk_timeout', { processed: 'unknown' })],
    ['took all of the provider’s own time', fault('request_timeout', { processed: 'unknown' })],
    ['asks for what only others can', new GatewayError('unsupported_parameter', 'no')],
    ['was refused for what only others can', fault('unsupported_parameter', { tryElsewhere: false })],
  ])('goes on when the call %s', async (_why, error) => {
    const of = rig([{ does: fails(error) }, { does: answers }]);
    expect((await complete(of)).target.provider).toBe('p1');
    expect(of.attempts.map(({ outcome }) => outcome)).toEqual([(error as GatewayError).code, 'ok']);
  });

  it.each([
    ['may have been worked on', fault('provider_bad_response', { processed: 'unknown' })],
    ['is the client’s fault', fault('provider_rejected', { tryElsewhere: false })],
    ['took all the time', fault('request_timeout', { processed: 'unknown', tryElsewhere: false })],
    ['was cut short by a shutdown', new GatewayError('draining', 'bye')],
    ['met a bug', new TypeError('bug')],
  ])('stays with the error when the call %s', async (_why, error) => {
    const of = rig([{ does: fails(error) }, { does: answers }]);
    expect(await failure(complete(of))).toBe(error);
    expect(calls(of)).toEqual([1, 0]);
  });

  it('tells each target whether the same model has another one that is well', async () => {
    const scripts = [
      fault('provider_overloaded'),
      fault('provider_overloaded'),
      fault('provider_overloaded'),
    ];
    const modelIds = ['a', 'a', 'b'];
    const targets = scripts.map((error, index) => ({ does: fails(error), modelId: modelIds[index]! }));
    const of = rig(targets);
    await failure(complete(of));
    const alternatives = (asked: Rig) =>
      asked.strategies.map((strategy) => strategy.calls[0]!.placement!.hasAlternative);
    expect(alternatives(of)).toEqual([true, false, false]);
    const unwell = rig(targets, 'breaker-open');
    await failure(complete(unwell));
    expect(alternatives(unwell)).toEqual([false, false, false]);
  });

  it('notes the calls that the resilience layer repeated', async () => {
    const of = rig([
      {
        does: (_signal, { placement }) => {
          placement!.onRepeat({ error: fault('provider_overloaded'), startedAt: new Date(), durationMs: 5 });
          return Promise.resolve(ANSWER);
        },
      },
    ]);
    await complete(of);
    expect(outcomes(of)).toEqual(['p0 provider_overloaded', 'p0 ok']);
  });

  it('tries only larger windows when a prompt was too long for one', async () => {
    const tooLong = fault('context_length_exceeded', { countsAsFailure: false });
    const of = rig([
      { does: fails(tooLong), contextWindow: 1000 },
      { does: answers, contextWindow: 1000 },
      { does: answers, contextWindow: 500, modelId: 'b' },
      { does: answers, contextWindow: 2000, modelId: 'c' },
    ]);
    expect((await complete(of)).target.provider).toBe('p3');
    expect(calls(of)).toEqual([1, 0, 0, 1]);
    const none = rig([{ does: fails(tooLong) }, { does: answers }]);
    expect(await failure(complete(none))).toBe(tooLong);
  });

  it('stops when the client has left, and says so', async () => {
    const client = new AbortController();
    const reason = new DOMException('gone', 'AbortError');
    const of = rig([
      {
        does: () => {
          client.abort(reason);
          return Promise.reject(reason);
        },
      },
      { does: answers },
    ]);
    expect(await failure(complete(of, template({ signal: client.signal })))).toBe(reason);
    expect(outcomes(of)).toEqual(['p0 client_gone']);
  });

  it('asks nobody any more when the time of the request is over', async () => {
    const slow: Script = () =>
      new Promise((_resolve, reject) => setTimeout(reject, 30, fault('provider_overloaded')));
    const of = rig([{ does: slow }, { does: answers }], 'ok', 20);
    expect(await failure(complete(of))).toMatchObject({ code: 'provider_overloaded' });
    expect(calls(of)).toEqual([1, 0]);
  });

  it.each([
    [['circuit_open', 'provider_rate_limited', 'provider_overloaded'], 'provider_rate_limited'],
    [['provider_auth_failed', 'circuit_open'], 'circuit_open'],
    [['bulkhead_full', 'first_chunk_timeout'], 'first_chunk_timeout'],
    [['provider_overloaded', 'unsupported_parameter'], 'unsupported_parameter'],
  ] as [GatewayErrorCode[], GatewayErrorCode][])('of %j answers with %s', async (codes, expected) => {
    const of = rig(codes.map((code) => ({ does: fails(fault(code)) })));
    expect(await failure(complete(of))).toMatchObject({ code: expected });
    expect(of.attempts).toHaveLength(codes.length);
  });

  it.each(['capability', 'context-window'] as const)(
    'does not take it for an answer that a target cannot do it which was planned as unfit (%s), nor waits for it',
    async (reason) => {
      const of = rig([
        { does: fails(fault('provider_overloaded')) },
        { does: fails(new GatewayError('unsupported_parameter', 'no images')), reason },
      ]);
      expect(await failure(complete(of))).toMatchObject({ code: 'provider_overloaded' });
      expect(of.strategies[0]!.calls[0]!.placement!.hasAlternative).toBe(false);
    },
  );

  it('answers with the best of them when all were planned as unfit', async () => {
    const of = rig([
      { does: fails(fault('provider_overloaded')), reason: 'capability' },
      { does: fails(fault('provider_rate_limited')), reason: 'capability' },
    ]);
    expect(await failure(complete(of))).toMatchObject({ code: 'provider_rate_limited' });
  });

  it('does not call a prompt too long while a larger target is only busy', async () => {
    const tooLong = fault('context_length_exceeded', { countsAsFailure: false });
    const busy = fault('provider_overloaded');
    const large = rig([
      { does: fails(busy), contextWindow: 2000 },
      { does: fails(tooLong), contextWindow: 1000 },
    ]);
    expect(await failure(complete(large))).toBe(busy);
    const small = rig([
      { does: fails(busy), contextWindow: 1000 },
      { does: fails(tooLong), contextWindow: 2000 },
    ]);
    expect(await failure(complete(small))).toBe(tooLong);
    const limited = fault('provider_rate_limited');
    const third = rig([
      { does: fails(limited), contextWindow: 1000 },
      { does: fails(busy), contextWindow: 3000 },
      { does: fails(tooLong), contextWindow: 2000 },
    ]);
    expect(await failure(complete(third))).toBe(limited);
  });

  it('of two that ask for a pause names the shorter one, but not that of a lesser error', async () => {
    const limited = (retryAfterMs: number) => ({
      does: fails(fault('provider_rate_limited', { retryAfterMs })),
    });
    const busy = { does: fails(fault('provider_overloaded', { retryAfterMs: 1 })) };
    for (const scripts of [
      [limited(60_000), limited(2000), busy],
      [limited(2000), limited(60_000), busy],
    ])
      expect(await failure(complete(rig(scripts)))).toMatchObject({ retryAfterMs: 2000 });
  });

  it('tells what a call without an answer may have cost, when it began, and how late a first chunk was', async () => {
    const late: Script = () =>
      new Promise((_resolve, reject) => setTimeout(reject, 20, fault('first_chunk_timeout')));
    const of = rig([
      { does: late },
      { does: fails(fault('provider_overloaded')) },
      { does: fails(new GatewayError('draining', 'bye')) },
    ]);
    await failure(of.dispatcher.stream(of.plan, template(), (attempt) => of.attempts.push(attempt)));
    expect(of.attempts).toMatchObject([
      { outcome: 'first_chunk_timeout', isCostUnknown: undefined, timeToFirstChunkMs: undefined },
      { outcome: 'provider_overloaded', isCostUnknown: undefined, timeToFirstChunkMs: undefined },
      { outcome: 'draining', isCostUnknown: true, timeToFirstChunkMs: undefined },
    ]);
    const [first, second] = of.attempts.map(({ startedAt }) => startedAt.getTime());
    expect(second! - first!).toBeGreaterThan(10);
    expect(of.latencies.averageMs('p0', 'u0', 'stream')).toBeGreaterThan(10);
    expect(of.latencies.averageMs('p1', 'u1', 'stream')).toBeUndefined();
  });

  it.each([
    ['x'.repeat(200), 'x'.repeat(200)],
    ['x'.repeat(201), 'x'.repeat(200)],
    ['a b\0ü', 'a?b??'],
  ])('keeps of the provider’s id %j what can be stored', async (providerRequestId, kept) => {
    const of = rig([{ does: () => Promise.resolve({ ...ANSWER, providerRequestId }) }]);
    await complete(of);
    expect(of.attempts[0]!.providerRequestId).toBe(kept);
  });

  it('notes no call for what ends the pause before it, and times each call by itself', async () => {
    const answered = rig([
      {
        does: async (_signal, { placement }) => {
          placement!.onRepeat({ error: fault('provider_overloaded'), startedAt: new Date(), durationMs: 5 });
          await new Promise((resolve) => setTimeout(resolve, 500));
          placement!.onResume?.();
          return ANSWER;
        },
      },
    ]);
    await complete(answered);
    expect(answered.attempts[1]!.durationMs).toBeLessThan(400);
    const left = rig([
      {
        does: (_signal, { placement }) => {
          placement!.onRepeat({ error: fault('provider_overloaded'), startedAt: new Date(), durationMs: 5 });
          return Promise.reject(new DOMException('gone', 'AbortError'));
        },
      },
    ]);
    await failure(complete(left));
    expect(outcomes(left)).toEqual(['p0 provider_overloaded']);
  });

  it('tells why there was hardly any time rather than that a call was late, which it notes as it was', async () => {
    const busy = fault('provider_rate_limited', { retryAfterMs: 2000 });
    const late = (isBlamed: boolean) =>
      fault('request_timeout', { processed: 'unknown', tryElsewhere: false, countsAsFailure: isBlamed });
    const repeated = (error: ProviderError): Script => {
      return (_signal, { placement }) => {
        placement!.onRepeat({ error: busy, startedAt: new Date(), durationMs: 5 });
        placement!.onResume?.();
        return Promise.reject(error);
      };
    };
    const same = rig([{ does: repeated(late(false)) }]);
    expect(await failure(complete(same))).toBe(busy);
    expect(outcomes(same)).toEqual(['p0 provider_rate_limited', 'p0 request_timeout']);
    expect(same.attempts.map(({ isCostUnknown }) => isCostUnknown)).toEqual([undefined, true]);
    const other = rig([{ does: fails(busy) }, { does: fails(late(false)) }]);
    expect(await failure(complete(other))).toBe(busy);
    const rejected = fault('provider_rejected', { tryElsewhere: false, countsAsFailure: false });
    expect(await failure(complete(rig([{ does: fails(busy) }, { does: fails(rejected) }])))).toBe(rejected);
    const slow = late(true);
    expect(await failure(complete(rig([{ does: repeated(slow) }])))).toBe(slow);
  });

  it('answers with the asked model’s error rather than a fallback’s', async () => {
    const of = rig([
      { does: fails(fault('circuit_open')) },
      { does: fails(fault('provider_rate_limited')), modelId: 'b' },
    ]);
    expect(await failure(complete(of))).toMatchObject({ code: 'circuit_open' });
  });
});
