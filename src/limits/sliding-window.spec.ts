import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BUCKETS_PER_WINDOW } from './limit-store.js';
import { MemoryLimitStore } from './memory-limit-store.js';
import { SlidingWindow } from './sliding-window.js';

const WINDOW_MS = 6000;
const BUCKET_MS = WINDOW_MS / BUCKETS_PER_WINDOW;

/** The most units granted within any window, counted one by one. */
function mostInAnyWindow(grants: readonly { atMs: number; cost: number }[]): number {
  let most = 0;
  for (const first of grants) {
    const inside = grants.filter(({ atMs }) => atMs >= first.atMs && atMs < first.atMs + WINDOW_MS);
    most = Math.max(
      most,
      inside.reduce((sum, { cost }) => sum + cost, 0),
    );
  }
  return most;
}

describe('MemoryLimitStore', () => {
  it('never grants more than the limit in any window, whatever comes when', () => {
    const arrivals = fc.array(fc.record({ waitMs: fc.nat(1500), cost: fc.integer({ min: 1, max: 4 }) }), {
      minLength: 60,
      maxLength: 200,
    });
    fc.assert(
      fc.property(arrivals, fc.integer({ min: 4, max: 20 }), fc.nat(100_000), (steps, limit, startMs) => {
        let nowMs = startMs;
        const store = new MemoryLimitStore(() => nowMs);
        const rule = { name: 'minute', limit, windowMs: WINDOW_MS };
        const grants: { atMs: number; cost: number }[] = [];
        for (const { waitMs, cost } of steps) {
          nowMs += waitMs;
          if (store.take([{ rule, key: 'u', cost }]).allowed) grants.push({ atMs: nowMs, cost });
        }
        expect(mostInAnyWindow(grants)).toBeLessThanOrEqual(limit);
      }),
    );
  });

  it('grants again at the very time it named, and not a bucket earlier', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(700), { minLength: 10, maxLength: 10 }),
        fc.integer({ min: 1, max: 10 }),
        (waits, cost) => {
          let nowMs = 0;
          const store = new MemoryLimitStore(() => nowMs);
          const rule = { name: 'minute', limit: 10, windowMs: WINDOW_MS };
          for (const waitMs of waits) {
            nowMs += waitMs;
            store.take([{ rule, key: 'u', cost: 1 }]);
          }
          const refused = store.take([{ rule, key: 'u', cost }]);
          if (refused.allowed) return;
          nowMs += refused.retryAfterMs - BUCKET_MS;
          expect(store.take([{ rule, key: 'u', cost }]).allowed).toBe(false);
          nowMs += BUCKET_MS;
          expect(store.take([{ rule, key: 'u', cost }]).allowed).toBe(true);
        },
      ),
    );
  });

  it('keeps at most so many windows, and forgets the longest idle first', () => {
    let nowMs = 0;
    const store = new MemoryLimitStore(() => nowMs, 100);
    const rule = { name: 'minute', limit: 1, windowMs: WINDOW_MS };
    for (let user = 0; user < 1000; user++) {
      store.take([{ rule, key: `u${user}`, cost: 1 }]);
      nowMs += 1;
    }
    expect(store.size).toBe(100);
    expect(store.take([{ rule, key: 'u999', cost: 1 }]).allowed).toBe(false);
    expect(store.take([{ rule, key: 'u0', cost: 1 }]).allowed).toBe(true);
  });

  it('does not forget who keeps coming, however many others come', () => {
    let nowMs = 0;
    const store = new MemoryLimitStore(() => nowMs, 50);
    const rule = { name: 'minute', limit: 3, windowMs: WINDOW_MS };
    const regular = { rule, key: 'regular', cost: 1 };
    for (let user = 0; user < 90; user++) {
      if (user % 30 === 0) expect(store.take([regular]).allowed).toBe(true);
      store.take([{ rule, key: `u${user}`, cost: 1 }]);
      nowMs += 10;
    }
    expect(store.take([regular]).allowed).toBe(false);
  });

  it('lets a slot lapse that is not renewed, where holders may die', () => {
    let nowMs = 0;
    const store = new MemoryLimitStore(() => nowMs, undefined, 100);
    const [first, second] = ['first', 'second'].map((holder) => ({ key: 'u', holder }));
    expect(store.acquireSlot(first!, 1)).toBe(true);
    nowMs = 60;
    store.renewSlots([first!]);
    nowMs = 159;
    expect(store.acquireSlot(second!, 1)).toBe(false);
    nowMs = 160;
    expect(store.acquireSlot(second!, 1)).toBe(true);
  });

  it('sweeps what has expired as new users come, without a timer', () => {
    let nowMs = 0;
    const store = new MemoryLimitStore(() => nowMs);
    const rule = { name: 'minute', limit: 5, windowMs: WINDOW_MS };
    for (let user = 0; user < 500; user++) store.take([{ rule, key: `old${user}`, cost: 1 }]);
    nowMs += 2 * WINDOW_MS;
    for (let user = 0; user < 400; user++) store.take([{ rule, key: `new${user}`, cost: 1 }]);
    expect(store.size).toBe(400);
  });
});

describe('SlidingWindow', () => {
  it('takes the oldest units off first, so that what stays is never counted for too short', () => {
    const window = new SlidingWindow(WINDOW_MS);
    window.add(0, 3);
    window.add(1000, 3);
    window.removeOldest(4);
    expect(window.state(1000)).toEqual({
      used: 2,
      growsInMs: WINDOW_MS + BUCKET_MS,
      emptyInMs: WINDOW_MS + BUCKET_MS,
    });
  });

  it('leaves no dust of fractions behind', () => {
    const window = new SlidingWindow(WINDOW_MS);
    for (let index = 0; index < 30; index++) window.add(index * 100, 10 / 3);
    window.advance(3 * WINDOW_MS);
    expect(window.sum).toBe(0);
    expect(window.state(3 * WINDOW_MS)).toEqual({ used: 0, growsInMs: 0, emptyInMs: 0 });
  });

  it('has one bucket for all that comes in its time, or late, and none for nothing', () => {
    const window = new SlidingWindow(WINDOW_MS);
    const opened = [0, BUCKET_MS - 1, BUCKET_MS, 0, BUCKET_MS].map((nowMs) => window.add(nowMs, 1));
    expect([...opened, window.add(5 * BUCKET_MS, 0)]).toEqual([true, false, true, false, false, false]);
    expect(window.sum).toBe(5);
    expect(window.freesInMs(BUCKET_MS, 2)).toBe(WINDOW_MS);
    expect(window.freesInMs(BUCKET_MS, 99)).toBe(WINDOW_MS + BUCKET_MS);
  });

  it('is made to agree with who sees all of it', () => {
    const window = new SlidingWindow(WINDOW_MS);
    window.add(0, 3);
    const sums = [5, 5, 1].map((sum) => {
      window.alignTo(BUCKET_MS, sum);
      return window.state(BUCKET_MS);
    });
    const emptyInMs = WINDOW_MS + BUCKET_MS;
    expect(sums).toEqual([
      { used: 5, growsInMs: WINDOW_MS, emptyInMs },
      { used: 5, growsInMs: WINDOW_MS, emptyInMs },
      { used: 1, growsInMs: emptyInMs, emptyInMs },
    ]);
  });
});
