import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Lease } from './lease.js';

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }).advanceTimersByTime(1000));
afterEach(() => void vi.useRealTimers());

describe('a lease', () => {
  it('moves money between what is free and what is held, and knows when nobody uses it', () => {
    const lease = new Lease('l', 'u', 100n, Infinity, { aliveUntilMs: Infinity });
    const states = [
      () => lease.hold(30n, 100n),
      () => lease.hold(20n, 71n),
      () => lease.hold(20n, 20n),
      () => lease.extend(51n),
      () => lease.extend(50n),
      () => lease.growHeld(5n),
      () => lease.settle(80n, 15n),
      () => lease.booked(),
      () => lease.settle(25n, 25n),
      () => lease.booked(),
      () => lease.grow(7n),
      () => lease.empty(),
    ].map((step) => [step(), lease.freeNano, lease.heldNano, lease.isUnused]);
    expect(states).toEqual([
      [true, 70n, 30n, false],
      [false, 70n, 30n, false],
      [true, 50n, 50n, false],
      [false, 50n, 50n, false],
      [true, 0n, 100n, false],
      [undefined, 0n, 105n, false],
      [undefined, 65n, 25n, false],
      [undefined, 65n, 25n, false],
      [undefined, 65n, 0n, false],
      [undefined, 65n, 0n, true],
      [undefined, 72n, 0n, true],
      [72n, 0n, 0n, true],
    ]);
  });

  it.each([
    ['its term', 2000, Infinity],
    ['its owner’s time', Infinity, 2000],
  ])('gives nothing when %s is over', (_name, validUntilMs, aliveUntilMs) => {
    const lease = new Lease('l', 'u', 100n, validUntilMs, { aliveUntilMs });
    vi.advanceTimersByTime(1000);
    expect([lease.isOver(), lease.hold(1n, 1n), lease.extend(1n)]).toEqual([false, true, true]);
    vi.advanceTimersByTime(1);
    expect([lease.isOver(), lease.hold(1n, 1n), lease.extend(1n)]).toEqual([true, false, false]);
    expect(lease.lastUsedMs).toBe(2000);
  });
});
