import {
  type CallSignal,
  CallSwitch,
  type ChatStreamEvent,
  chunksOf,
  ProviderError,
  RUN_SEPARATOR,
  type Usage,
} from '@app/contracts';
import { getEventListeners } from 'node:events';
import { describe, expect, it, vi } from 'vitest';
import type { BillingSession, Settlement } from '../../billing/billing-session.js';
import type { RequestContext } from '../../edge/request-context.js';
import { Telemetry } from '../../telemetry/telemetry.js';
import { UnreadAnswer } from '../../providers/resilience/resilience-errors.js';
import { CompletionRun } from '../completion-run.js';
import { BilledStream, type StreamEnd } from './billed-stream.js';
import { DrainPool } from './drain-pool.js';

const USAGE: Usage = { inputTokens: 7, outputTokens: 3 };
const TARGET = { provider: 'p', upstreamModel: 'm', priceVersion: 'v' };

const delta = (text: string, finishReason?: 'stop'): ChatStreamEvent => ({
  json: JSON.stringify({ id: 'c1', created: 1, choices: [{ index: 0, delta: { content: text } }] }),
  outputText: text,
  usageOnly: false,
  finishReason,
});
const usageEvent = (usage: Usage): ChatStreamEvent => ({
  json: '{"choices":[]}',
  outputText: '',
  usage,
  usageOnly: true,
});

/** Plays a script of events; `hang` waits until aborted. */
function fixture(
  script: (ChatStreamEvent | Error | 'hang')[],
  options: {
    cancelStopsBilling?: boolean;
    covers?: boolean;
    includeUsage?: boolean;
    keepsAnswer?: boolean;
    unsettled?: Error;
    onUpstreamEvent?: (event: ChatStreamEvent) => void;
  } = {},
) {
  const gone = new CallSwitch();
  const upstream = new AbortController();
  const settlements: Settlement[] = [];
  const ends: StreamEnd[] = [];
  const log: string[] = [];
  const shown: string[] = [];
  const asked: number[] = [];
  const billing: BillingSession = {
    billingId: 'b',
    closed: false,
    hold: () => Promise.resolve({ maxOutputTokens: undefined }),
    covers: (tokens) => {
      asked.push(tokens);
      return options.covers === false ? Promise.resolve(false) : true;
    },
    attempt: () => undefined,
    settle: (settlement) => {
      settlements.push(settlement);
      log.push('settled');
      return options.unsettled ? Promise.reject(options.unsettled) : Promise.resolve({ costNanoUsd: 5n });
    },
  };
  const context = { clientGone: gone as CallSignal, billingId: 'b', startedAtMs: 0 } as RequestContext;
  const request = {
    model: 'alias',
    messages: [{ role: 'user' as const, content: 'one two three' }],
    stream_options: { include_usage: options.includeUsage ?? false },
  };
  const run = new CompletionRun(request, context, true);
  async function* events(): AsyncGenerator<ChatStreamEvent> {
    for (const step of script) {
      if (step instanceof Error) throw step;
      if (step === 'hang') {
        await new Promise((_, reject) =>
          upstream.signal.addEventListener('abort', () => reject(new Error('aborted'))),
        );
      } else {
        if ('after' in step) await step.after;
        yield step;
      }
    }
  }
  const drains = new DrainPool(new Telemetry());
  const stream = new BilledStream({
    run,
    stream: { events: events(), droppedParams: [] },
    target: TARGET,
    billing,
    upstream: {
      abort: () => upstream.abort(),
      get reason(): unknown {
        return upstream.signal.reason;
      },
    },
    cancelStopsBilling: options.cancelStopsBilling ?? true,
    keepsAnswer: options.keepsAnswer ?? false,
    drains,
    onUpstreamEvent: options.onUpstreamEvent,
    onEvent: (json) => shown.push(json),
    onComplete: () => Promise.resolve(void log.push('stored')),
    onEnd: (end) => ends.push(end),
  });
  return { gone, upstream, settlements, ends, log, shown, asked, run, drains, stream };
}

async function collect(stream: AsyncIterable<string>): Promise<string[]> {
  const seen: string[] = [];
  for await (const json of stream) seen.push(json);
  return seen;
}

describe('BilledStream', () => {
  it('charges the provider usage once, before the end is seen', async () => {
    const { stream, settlements, ends, log } = fixture([delta('a'), delta('b', 'stop'), usageEvent(USAGE)]);
    const seen: string[] = [];
    for await (const json of stream) {
      expect(log).toEqual([]);
      seen.push(json);
    }
    expect(seen).toHaveLength(2);
    expect(log).toEqual(['settled', 'stored']);
    expect(settlements).toEqual([{ kind: 'usage', target: TARGET, usage: USAGE, source: 'provider' }]);
    expect(ends).toEqual([{ kind: 'complete' }]);
  });

  it('asks whether all that came is covered, two bytes a token, and notes what it was', async () => {
    const { stream, asked, run } = fixture([delta('abc'), delta('déf', 'stop'), usageEvent(USAGE)]);
    await collect(stream);
    expect(asked).toEqual([2, 4, 4]);
    expect(run.output).toBe('abcdéf');
  });

  it('shows the usage chunk only to a client that asked', async () => {
    const asked = fixture([delta('a', 'stop'), usageEvent(USAGE)], { includeUsage: true });
    expect(await collect(asked.stream)).toHaveLength(2);
  });

  it('counts itself when the provider told nothing', async () => {
    const { stream, settlements } = fixture([delta('hello world', 'stop')]);
    await collect(stream);
    expect(settlements[0]).toMatchObject({ kind: 'usage', source: 'own', usage: { outputTokens: 2 } });
  });

  it('believes an explicit zero', async () => {
    const zero = { inputTokens: 0, outputTokens: 0 };
    const { stream, settlements } = fixture([delta('hello', 'stop'), usageEvent(zero)]);
    await collect(stream);
    expect(settlements[0]).toMatchObject({ source: 'provider', usage: zero });
  });

  // Whatever it says of a request: this one had begun to be answered.
  it.each(['unknown', 'no'] as const)(
    'gives the hold back when the provider fails in the middle (%s)',
    async (processed) => {
      const error = new ProviderError('provider_bad_response', 'cut', {
        processed,
        countsAsFailure: true,
        tryElsewhere: false,
      });
      const { stream, settlements, ends } = fixture([delta('a'), error]);
      await expect(collect(stream)).rejects.toBe(error);
      expect(settlements).toEqual([
        { kind: 'release', reason: 'provider_bad_response', isCostUnknown: true },
      ]);
      expect(ends).toEqual([{ kind: 'failed', error }]);
    },
  );

  it.each([
    [false, { kind: 'usage', source: 'own', usage: { outputTokens: 2 } }],
    // It cannot be given again.
    [true, { kind: 'release', reason: 'request_timeout', isCostUnknown: true }],
  ])(
    'charges what came of an answer that was read too slowly, unless a retry is owed it (%s)',
    async (keepsAnswer, charge) => {
      const error = new UnreadAnswer('p');
      const { stream, settlements, ends } = fixture([delta('hello world'), error], { keepsAnswer });
      await expect(collect(stream)).rejects.toBe(error);
      expect(settlements).toMatchObject([charge]);
      expect(ends).toEqual([{ kind: 'failed', error }]);
    },
  );

  it('aborts and charges what came when the client leaves', async () => {
    const { stream, gone, upstream, settlements, ends } = fixture([delta('hello world'), 'hang']);
    await stream.next();
    const pending = stream.next();
    gone.abort();
    expect(await pending).toEqual({ done: true, value: undefined });
    expect(upstream.signal.aborted).toBe(true);
    await vi.waitFor(() => expect(ends).toEqual([{ kind: 'client-gone' }]));
    expect(settlements).toHaveLength(1);
    expect(settlements[0]).toMatchObject({ kind: 'usage', source: 'own', usage: { outputTokens: 2 } });
  });

  it('keeps the input count that the provider told at the start', async () => {
    const start = { ...delta(''), usage: { inputTokens: 900, outputTokens: 1 } };
    const { stream, gone, settlements, ends } = fixture([start, delta('hello world'), 'hang']);
    await stream.next();
    await stream.next();
    gone.abort();
    await vi.waitFor(() => expect(ends).toHaveLength(1));
    expect(settlements[0]).toMatchObject({ usage: { inputTokens: 900, outputTokens: 2 }, source: 'own' });
  });

  it('reads on to the usage where the provider bills on regardless', async () => {
    const { stream, gone, upstream, settlements, drains, ends } = fixture(
      [delta('a'), delta('b', 'stop'), usageEvent(USAGE)],
      { cancelStopsBilling: false },
    );
    await stream.next();
    gone.abort();
    await drains.settled();
    expect(upstream.signal.aborted).toBe(false);
    expect(settlements).toEqual([{ kind: 'usage', target: TARGET, usage: USAGE, source: 'provider' }]);
    expect(ends).toEqual([{ kind: 'client-gone' }]);
  });

  it('loses nothing that the reader was waiting for when the client left', async () => {
    let release = (): void => undefined;
    const gate = new Promise<void>((resolve) => (release = resolve));
    const { stream, gone, settlements, drains } = fixture(
      [delta('a'), { ...delta('b', 'stop'), after: gate } as ChatStreamEvent, usageEvent(USAGE)],
      { cancelStopsBilling: false },
    );
    await stream.next();
    const waiting = stream.next();
    gone.abort();
    release();
    await waiting;
    await drains.settled();
    expect(settlements).toEqual([{ kind: 'usage', target: TARGET, usage: USAGE, source: 'provider' }]);
  });

  it('cuts a drain too when the next slice is not covered', async () => {
    const { stream, gone, upstream, settlements, shown, drains } = fixture(
      [delta('hello world'), delta('more'), 'hang'],
      { cancelStopsBilling: false, covers: false },
    );
    const first = stream.next();
    gone.abort();
    await first;
    await drains.settled();
    expect(upstream.signal.aborted).toBe(true);
    expect(JSON.parse(shown.at(-1) ?? '')).toMatchObject({ choices: [{ finish_reason: 'length' }] });
    expect(settlements).toHaveLength(1);
    expect(settlements[0]).toMatchObject({ kind: 'usage', source: 'own', usage: { outputTokens: 2 } });
  });

  describe('with an answer that a retry shall get', () => {
    const KEPT = { keepsAnswer: true, cancelStopsBilling: true };

    it('reads on when the client leaves, also where an abort would stop the bill', async () => {
      const { stream, gone, upstream, settlements, log, shown, drains } = fixture(
        [delta('a'), delta('b', 'stop'), usageEvent(USAGE)],
        KEPT,
      );
      await stream.next();
      gone.abort();
      await drains.settled();
      expect(upstream.signal.aborted).toBe(false);
      expect(settlements).toEqual([{ kind: 'usage', target: TARGET, usage: USAGE, source: 'provider' }]);
      expect(shown).toHaveLength(2);
      expect(log).toEqual(['settled', 'stored']);
    });

    it('charges nothing when the rest does not come', async () => {
      const { stream, gone, settlements, log, drains } = fixture([delta('a'), new Error('cut')], KEPT);
      await stream.next();
      gone.abort();
      await drains.settled();
      expect(settlements).toEqual([{ kind: 'release', reason: 'client_gone', isCostUnknown: true }]);
      expect(log).toEqual(['settled']);
    });

    it('reads on also when more clients have left than are drained for otherwise', async () => {
      const { stream, gone, settlements, drains } = fixture(
        [delta('a'), delta('b', 'stop'), usageEvent(USAGE)],
        KEPT,
      );
      const others = new AbortController();
      const left = new Promise<void>((resolve) => others.signal.addEventListener('abort', () => resolve()));
      while (drains.tryDrain(() => left));
      await stream.next();
      gone.abort();
      await vi.waitFor(() => expect(settlements).toMatchObject([{ kind: 'usage', usage: USAGE }]));
      others.abort();
      await drains.settled();
    });
  });

  it('cuts with `length` when the next slice is not covered, and charges what came', async () => {
    const { stream, upstream, settlements } = fixture([delta('hello world'), delta('more')], {
      covers: false,
    });
    const seen = await collect(stream);
    expect(JSON.parse(seen.at(-1) ?? '')).toMatchObject({ choices: [{ finish_reason: 'length' }] });
    expect(upstream.signal.aborted).toBe(true);
    expect(settlements).toHaveLength(1);
  });

  it('tells a client that asked for it what was charged for a stream that is cut', async () => {
    const cut = { covers: false, includeUsage: true };
    const { stream, settlements, shown } = fixture([delta('hello world'), delta('more')], cut);
    const chunks = (await collect(stream)).flatMap((json) => chunksOf(json)).map((json) => JSON.parse(json));
    const [settlement] = settlements;
    const charged = settlement?.kind === 'usage' ? settlement.usage : undefined;
    expect(chunks.at(-2)).toMatchObject({ choices: [{ finish_reason: 'length' }] });
    expect(chunks.at(-1)).toEqual({
      id: 'c1',
      object: 'chat.completion.chunk',
      created: 1,
      model: 'alias',
      choices: [],
      usage: {
        prompt_tokens: charged?.inputTokens,
        completion_tokens: charged?.outputTokens,
        total_tokens: charged!.inputTokens + charged!.outputTokens,
      },
    });
    expect(charged?.outputTokens).toBeGreaterThan(0);
    expect(shown.map((json) => JSON.parse(json))).toEqual(chunks);
  });

  it('keeps the chunks of a run one by one, and cuts in the form of its last', async () => {
    const run: ChatStreamEvent = {
      json: [delta('hello '), delta('world')].map(({ json }) => json).join(RUN_SEPARATOR),
      outputText: 'hello world',
      usageOnly: false,
    };
    const upstream: ChatStreamEvent[] = [];
    const { stream, shown } = fixture([run, delta('more')], {
      covers: false,
      onUpstreamEvent: (event) => upstream.push(event),
    });
    const seen = await collect(stream);
    expect(seen[0]).toBe(run.json);
    expect(shown.slice(0, 2)).toEqual([delta('hello ').json, delta('world').json]);
    expect(upstream.map(({ json }) => json)).toEqual(shown.slice(0, 2));
    expect(upstream.map(({ outputText }) => outputText).join('')).toBe('hello world');
    expect(JSON.parse(shown[2]!)).toMatchObject({ id: 'c1', choices: [{ finish_reason: 'length' }] });
  });

  // A shutdown waits for its end, and a retry with its Idempotency-Key too.
  it.each([
    ['whole', [delta('a', 'stop'), usageEvent(USAGE)], {}],
    ['cut for money', [delta('hello world'), delta('more')], { covers: false }],
    ['read too slowly', [delta('hello world'), new UnreadAnswer('p')], {}],
  ])(
    'ends once, and keeps nothing, when an answer that is %s cannot be booked',
    async (_how, script, options) => {
      const unsettled = new Error('no journal, no database');
      const { stream, ends, log } = fixture(script, { ...options, unsettled });
      await expect(collect(stream)).rejects.toThrow();
      expect(ends).toMatchObject([{ kind: 'failed' }]);
      expect(log).toEqual(['settled']);
    },
  );

  it('leaves nothing at the signal of a drain that is over', async () => {
    const { stream, gone, drains } = fixture([delta('a'), delta('b', 'stop'), usageEvent(USAGE)], {
      cancelStopsBilling: false,
    });
    const limit = new AbortController().signal;
    vi.spyOn(AbortSignal, 'timeout').mockReturnValueOnce(limit);
    await stream.next();
    gone.abort();
    expect(getEventListeners(limit, 'abort')).toHaveLength(1);
    await drains.settled();
    expect(getEventListeners(limit, 'abort')).toHaveLength(0);
  });

  it('settles a stream that nobody ever read', async () => {
    const { stream, settlements } = fixture([delta('a')]);
    await stream.return();
    await stream.return();
    expect(settlements).toHaveLength(1);
  });
});
