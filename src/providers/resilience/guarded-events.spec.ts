import { type ChatStreamEvent, ProviderError } from '@app/contracts';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { event } from '../../../test/support/scripted-strategy.js';
import { Deadlines } from '../../timing/deadlines.js';
import { CallGuard } from './call-guard.js';
import { GuardedEvents } from './guarded-events.js';

const IDLE_MS = 1_000;
const IDLE = new ProviderError('stream_idle_timeout', 'idle', {
  processed: 'unknown',
  countsAsFailure: true,
  tryElsewhere: false,
});

/** A source with events at hand, as a provider's packets give them. */
class Source implements AsyncIterator<ChatStreamEvent> {
  readonly at: ChatStreamEvent[] = [];
  left = 0;
  #wake = (): void => undefined;

  next(): Promise<IteratorResult<ChatStreamEvent>> {
    return new Promise(() => undefined);
  }

  return(): Promise<IteratorResult<ChatStreamEvent>> {
    this.left += 1;
    this.#wake();
    return Promise.resolve({ done: true, value: undefined });
  }

  takeReady(): ChatStreamEvent | undefined {
    return this.at.shift();
  }

  whenReady(wake: () => void): boolean {
    this.#wake = wake;
    return true;
  }

  /** Bytes that are no event. */
  ping(): void {
    this.#wake();
  }

  send(text: string): void {
    this.at.push(event(text));
    this.#wake();
  }
}

function guarded() {
  const source = new Source();
  const guard = new CallGuard(new AbortController().signal);
  const onOver = vi.fn();
  const events = new GuardedEvents(source, guard, event('first'), {
    idleMs: IDLE_MS,
    idleLimits: new Deadlines(),
    onIdle: () => IDLE,
    onUnread: (reason) => new Error('unread', { cause: reason }),
    onFailure: () => undefined,
    onOver,
  });
  return { source, guard, events, onOver };
}

function untilReady(events: GuardedEvents<CallGuard>): Promise<void> | undefined {
  const woken = Promise.withResolvers<void>();
  return events.whenReady(woken.resolve) ? woken.promise : undefined;
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('events at hand', () => {
  it('are given in their order, the first one too', async () => {
    const { source, events } = guarded();
    expect(events.takeReady()?.outputText).toBe('first');
    const waiting = untilReady(events);
    source.send('second');
    await waiting;
    expect(events.takeReady()?.outputText).toBe('second');
    expect(events.takeReady()).toBeUndefined();
  });

  it.each(['by whenReady', 'by next'])('end with a pause full of pings, waited for %s', async (how) => {
    const { source, events, onOver } = guarded();
    events.takeReady();
    for (let waitedMs = 0; waitedMs < IDLE_MS; waitedMs += IDLE_MS / 4) {
      expect(source.left).toBe(0);
      events.takeReady();
      const waiting = untilReady(events);
      await vi.advanceTimersByTimeAsync(IDLE_MS / 4);
      source.ping();
      await waiting;
      if (how === 'by next') break;
    }
    if (how === 'by next') {
      const reading = events.next().catch((error: unknown) => error);
      await vi.advanceTimersByTimeAsync((IDLE_MS * 3) / 4);
      expect(await reading).toBe(IDLE);
    }
    expect(source.left).toBe(1);
    expect(onOver).toHaveBeenCalledTimes(1);
  });

  it('end with a pause that is too long while their reader waits', async () => {
    const { source, guard, events, onOver } = guarded();
    events.takeReady();
    const waiting = untilReady(events);
    await vi.advanceTimersByTimeAsync(IDLE_MS - 1);
    expect(source.left).toBe(0);
    await vi.advanceTimersByTimeAsync(1);
    await waiting;
    expect(source.left).toBe(1);
    expect(events.takeReady()).toBeUndefined();
    expect(untilReady(events)).toBeUndefined();
    await expect(events.next()).rejects.toBe(IDLE);
    expect(onOver.mock.calls).toEqual([[guard, { error: IDLE }]]);
  });

  it('may be left lying by a slow reader, and each pause counts anew', async () => {
    const { source, events } = guarded();
    events.takeReady();
    for (const text of ['a', 'b', 'c']) {
      await vi.advanceTimersByTimeAsync(3 * IDLE_MS);
      const waiting = untilReady(events);
      await vi.advanceTimersByTimeAsync(IDLE_MS - 1);
      source.send(text);
      await waiting;
      expect(events.takeReady()?.outputText).toBe(text);
    }
    expect(source.left).toBe(0);
  });

  it('are unread when the call is aborted while their reader is busy with what it has', async () => {
    const { guard, events } = guarded();
    events.takeReady();
    guard.abort(IDLE);
    await expect(events.next()).rejects.toMatchObject({ message: 'unread', cause: IDLE });
  });

  it('are over for a reader who waits when the call is aborted', async () => {
    const { guard, events } = guarded();
    events.takeReady();
    const waiting = untilReady(events);
    guard.abort(IDLE);
    await waiting;
    expect(events.takeReady()).toBeUndefined();
    await expect(events.next()).rejects.toBe(IDLE);
  });
});
