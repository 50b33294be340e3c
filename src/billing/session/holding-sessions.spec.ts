import { describe, expect, it } from 'vitest';
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
    const [early, late] = [session('early'), session('late')];
    const holding = new HoldingSessions();
    holding.add(early);
    holding.add(late);
    early.heldSinceMs = 1;
    late.heldSinceMs = 3;
    expect(holding.ids(2)).toEqual(['late']);
  });
});
