import type { ChatCompletion, ChatStreamEvent, FinishReason } from '@app/contracts';
import { describe, expect, it, vi } from 'vitest';
import type { AppConfig } from '../config/app-config.js';
import { type GatewayEvent, Telemetry } from '../telemetry/telemetry.js';
import { MemoryAnswerStore } from './answer-store.js';
import { BoundedMemory } from './bounded-memory.js';
import type { CachedCompletion, CachedStream } from './cached-answer.js';
import { ResponseCache } from './response-cache.service.js';

const TARGET = { provider: 'p', upstreamModel: 'u', priceVersion: 'v' };
const PLAN = { key: 'k', ttlMs: 60_000 };

function whole(content: string, finish_reason: FinishReason = 'stop'): CachedCompletion {
  const choices = [{ index: 0, message: { role: 'assistant' as const, content }, finish_reason }];
  const completion: ChatCompletion = { id: 'c', object: 'chat.completion', created: 1, model: 'm', choices };
  return { kind: 'whole', completion, usage: { inputTokens: 1, outputTokens: 2 }, target: TARGET };
}

function stream(finishReason: FinishReason | undefined): CachedStream {
  const event: ChatStreamEvent = { json: '{}', outputText: 'x', usageOnly: false };
  return { kind: 'stream', events: [event, { ...event, finishReason }], usage: undefined, target: TARGET };
}

function rig(responseMaxBytes = 10_000): { cache: ResponseCache; events: GatewayEvent[] } {
  const telemetry = new Telemetry();
  const events: GatewayEvent[] = [];
  telemetry.addSink({ event: (told) => events.push(told) });
  const config = {
    timeouts: { requestMs: 1000 },
    cache: { responseMaxBytes, responseTtlMs: 1000 },
  } as AppConfig;
  return { cache: new ResponseCache(new MemoryAnswerStore(1_000_000), telemetry, config), events };
}

describe('ResponseCache', () => {
  it('gives back what it was given, and tells hits from misses', async () => {
    const { cache, events } = rig();
    expect(await cache.lookup(PLAN)).toBeUndefined();
    await cache.store(PLAN, whole('a'));
    expect(await cache.lookup(PLAN)).toEqual(whole('a'));
    expect(events.map((told) => told.kind === 'cache' && told.outcome)).toEqual(['miss', 'hit']);
  });

  it.each<[string, unknown]>([
    ['no object', 'text'],
    ['another kind', { ...whole('a'), kind: 'other' }],
    ['no choices', { ...whole('a'), completion: { id: 'c' } }],
    ['a completion that is none', { ...whole('a'), completion: 5 }],
    ['events that are none', { ...stream('stop'), events: 'data' }],
    ['an event without its text', { ...stream('stop'), events: [{ outputText: 'x' }] }],
    ['a usage that counts nothing', { ...whole('a'), usage: { inputTokens: 'many', outputTokens: 2 } }],
    ['a usage below nothing', { ...stream('stop'), usage: { inputTokens: 1, outputTokens: -2 } }],
    ['dropped fields that are none', { ...whole('a'), droppedParams: [5] }],
    ['no target', { ...whole('a'), target: undefined }],
    ['a target without a price', { ...whole('a'), target: { provider: 'p', upstreamModel: 'u' } }],
  ])('takes what is no answer of ours for a miss: %s', async (_what, entry) => {
    const store = new MemoryAnswerStore(1_000_000);
    await store.set(PLAN.key, JSON.stringify(entry), 1000);
    const config = {
      timeouts: { requestMs: 1 },
      cache: { responseMaxBytes: 1, responseTtlMs: 1 },
    } as AppConfig;
    expect(await new ResponseCache(store, new Telemetry(), config).lookup(PLAN)).toBeUndefined();
  });

  it('gathers no more of a stream than it would keep', async () => {
    const { cache } = rig(1_000);
    const event: ChatStreamEvent = { json: '"'.repeat(30), outputText: 'x', usageOnly: false };
    const short = cache.gather();
    for (let at = 0; at < 5; at++) expect(short.add(event)).toBe(true);
    expect(short.events).toHaveLength(5);
    const long = cache.gather();
    let taken = 0;
    while (long.add(event)) taken += 1;
    expect(taken).toBeLessThan(1_000 / 30);
    expect(long.events).toBeUndefined();
    expect(long.add(event)).toBe(false);
    // whatever it gives up would not have been stored either
    await cache.store(PLAN, {
      ...stream('stop'),
      events: [...Array(taken + 1).fill(event), { ...event, finishReason: 'stop' }],
    });
    expect(await cache.lookup(PLAN)).toBeUndefined();
  });

  it('keeps streams event by event', async () => {
    const { cache } = rig();
    await cache.store(PLAN, stream('stop'));
    expect(await cache.lookup(PLAN)).toMatchObject({
      kind: 'stream',
      events: [{ outputText: 'x' }, { finishReason: 'stop' }],
    });
  });

  it.each([
    ['cut by a limit', whole('a', 'length')],
    ['filtered', whole('a', 'content_filter')],
    ['empty', { ...whole('a'), completion: { ...whole('a').completion, choices: [] } }],
    ['a stream cut short', stream('length')],
    ['a stream without an end', stream(undefined)],
  ])('does not keep an answer that is %s', async (_what, answer) => {
    const { cache } = rig();
    await cache.store(PLAN, answer);
    expect(await cache.lookup(PLAN)).toBeUndefined();
  });

  it('does not keep what is larger than allowed, in bytes', async () => {
    const { cache } = rig(1000);
    await cache.store(PLAN, whole('é'.repeat(600)));
    expect(await cache.lookup(PLAN)).toBeUndefined();
    await cache.store(PLAN, whole('e'.repeat(600)));
    expect(await cache.lookup(PLAN)).toBeDefined();
  });
});

describe('identical requests under way', () => {
  it.each([
    ['share one answer', whole('a')],
    ['go alone when the first has none to share', undefined],
  ])('%s, and the next one after it leads again', async (_what, answer) => {
    const { cache } = rig();
    const [leader, ...followers] = [cache.join(PLAN), cache.join(PLAN), cache.join(PLAN)];
    expect(followers.map(({ role }) => role)).toEqual(['follower', 'follower']);
    if (leader?.role === 'leader') leader.land(answer);
    for (const follower of followers) {
      expect(follower.role === 'follower' && (await follower.answer)).toEqual(answer);
    }
    expect(cache.join(PLAN).role).toBe('leader');
  });

  it('do not wait for a leader that never lands', async () => {
    vi.useFakeTimers();
    try {
      const { cache } = rig();
      const leader = cache.join(PLAN);
      const follower = cache.join(PLAN);
      expect([leader.role, follower.role]).toEqual(['leader', 'follower']);
      await vi.advanceTimersByTimeAsync(1000);
      expect(follower.role === 'follower' && (await follower.answer)).toBeUndefined();
      const next = cache.join(PLAN);
      expect(next.role).toBe('leader');
      if (leader.role === 'leader') leader.land(whole('late'));
      expect(cache.join(PLAN).role).toBe('follower');
    } finally {
      vi.useRealTimers();
    }
  });
});

describe('BoundedMemory', () => {
  it('never holds more than its bytes, forgets the longest unused, and frees what it forgets', () => {
    const memory = new BoundedMemory(5000);
    for (let index = 0; index < 100; index++) {
      memory.set(`k${index}`, 'x'.repeat(300), 1000);
      memory.get('k0');
      expect(memory.bytes).toBeLessThanOrEqual(5000);
    }
    expect(memory.get('k0')).toBeDefined();
    expect(memory.get('k1')).toBeUndefined();
    for (let index = 0; index < 100; index++) memory.delete(`k${index}`);
    expect(memory.bytes).toBe(0);
    memory.set('large', 'x'.repeat(3000), 1000);
    expect(memory.get('large')).toBeUndefined();
  });

  it('forgets in time', () => {
    let nowMs = 0;
    const memory = new BoundedMemory(5000, () => nowMs);
    memory.set('k', 'x', 100);
    nowMs = 99;
    expect(memory.get('k')).toBe('x');
    nowMs = 100;
    expect(memory.get('k')).toBeUndefined();
    expect(memory.bytes).toBe(0);
  });
});
