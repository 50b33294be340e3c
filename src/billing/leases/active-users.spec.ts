import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ActiveUsers } from './active-users.js';

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }).advanceTimersByTime(100_000));
afterEach(() => void vi.useRealTimers());

describe('a user', () => {
  it('is active with the second request, for half a minute at least and a minute at most', () => {
    const users = new ActiveUsers();
    vi.advanceTimersByTime(1);
    expect([users.see('a'), users.see('a'), users.see('b')]).toEqual([false, true, false]);
    vi.advanceTimersByTime(29_000);
    expect(users.see('a')).toBe(true);
    vi.advanceTimersByTime(2_000);
    expect([users.see('a'), users.see('b')]).toEqual([true, true]);
    vi.advanceTimersByTime(61_000);
    expect([users.see('a'), users.see('b')]).toEqual([false, false]);
  });

  it('rests after a refusal, whether it was seen before or not', () => {
    const users = new ActiveUsers();
    users.pause('a');
    expect(users.see('a')).toBe(false);
    vi.advanceTimersByTime(9_999);
    expect(users.see('a')).toBe(false);
    vi.advanceTimersByTime(2);
    expect(users.see('a')).toBe(true);
  });

  it('is forgotten when very many others come', () => {
    const users = new ActiveUsers();
    vi.advanceTimersByTime(1);
    users.see('a');
    for (let count = 0; count < 50_001; count += 1) users.see(`x-${count}`);
    expect(users.see('a')).toBe(true);
    for (let count = 0; count < 100_001; count += 1) users.see(`y-${count}`);
    expect(users.see('a')).toBe(false);
  });
});
