import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { type HoldingSession, HoldingSessions } from './holding-sessions.js';

const session = (billingId: string): HoldingSession => ({ billingId, heldSinceMs: 0, place: -1 });

describe('HoldingSessions', () => {
  it('knows who holds, in whatever order they end, twice too', () => {
    const [a, b, c, d] = ['a', 'b', 'c', 'd'].map(session) as [
      HoldingSession,
      HoldingSession,
      HoldingSession,
      HoldingSession,
    ];
    const holding = new HoldingSessions();
    for (const each of [a, b, c]) holding.add(each);
    holding.remove(a);
    holding.remove(a);
    holding.remove(d);
    expect(holding.ids().sort()).toEqual(['b', 'c']);
    holding.add(d);
    holding.remove(c);
    holding.remove(b);
    expect(holding.ids()).toEqual(['d']);
    holding.remove(d);
    expect(holding.size).toBe(0);
  });

  it('tells those that began after a moment', () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    onTestFinished(() => void vi.useRealTimers());
    const holding = new HoldingSessions();
    holding.add(session('early'));
    const sinceMs = performance.now();
    vi.advanceTimersByTime(1);
    holding.add(session('late'));
    expect(holding.ids(sinceMs)).toEqual(['late']);
  });
});
