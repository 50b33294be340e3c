import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Deadlines, type Timed } from './deadlines.js';

class Entry implements Timed {
  dueAtMs = 0;
  checkAtMs = 0;
  earlier: Timed | undefined;
  later: Timed | undefined;

  constructor(
    private readonly name: string,
    private readonly log: string[],
    private readonly alsoDo: () => void = () => undefined,
  ) {}

  onDue(): void {
    this.log.push(this.name);
    this.alsoDo();
  }
}

describe('Deadlines', () => {
  let log: string[] = [];
  beforeEach(() => {
    log = [];
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('come one after the other, in whatever order they were set', () => {
    const deadlines = new Deadlines();
    for (const [name, inMs] of [
      ['b', 20],
      ['d', 40],
      ['a', 10],
      ['c', 20],
    ] as const) {
      deadlines.set(new Entry(name, log), inMs);
    }
    vi.advanceTimersByTime(9);
    expect(log).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(log).toEqual(['a']);
    vi.advanceTimersByTime(29);
    expect(log).toEqual(['a', 'b', 'c']);
    vi.advanceTimersByTime(1);
    expect(log).toEqual(['a', 'b', 'c', 'd']);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('can be moved and cleared, and one timer is enough for all of them', () => {
    const deadlines = new Deadlines();
    const [first, second] = [new Entry('first', log), new Entry('second', log)];
    deadlines.set(first, 10);
    deadlines.set(second, 10);
    expect(vi.getTimerCount()).toBe(1);
    vi.advanceTimersByTime(5);
    deadlines.set(first, 10);
    deadlines.clear(second);
    deadlines.clear(second);
    vi.advanceTimersByTime(9);
    expect(log).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(log).toEqual(['first']);
    deadlines.set(second, 10);
    deadlines.clear(second);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('can be moved back again and again, past others, and forth', () => {
    const deadlines = new Deadlines();
    const [moved, other] = [new Entry('moved', log), new Entry('other', log)];
    deadlines.set(moved, 10);
    deadlines.set(other, 25);
    for (let moves = 0; moves < 4; moves += 1) {
      vi.advanceTimersByTime(5);
      deadlines.set(moved, 10);
    }
    vi.advanceTimersByTime(5);
    expect(log).toEqual(['other']);
    vi.advanceTimersByTime(4);
    deadlines.set(moved, 100);
    deadlines.set(moved, 3);
    vi.advanceTimersByTime(2);
    expect(log).toEqual(['other']);
    vi.advanceTimersByTime(1);
    expect(log).toEqual(['other', 'moved']);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('may be set again by whoever comes due', () => {
    const deadlines = new Deadlines();
    const entry: Entry = new Entry('again', log, () => deadlines.set(entry, 10));
    deadlines.set(entry, 10);
    vi.advanceTimersByTime(35);
    expect(log).toEqual(['again', 'again', 'again']);
  });

  it('go on when one of them throws', () => {
    const deadlines = new Deadlines();
    const bad = new Entry('bad', log, () => {
      throw new Error('bad');
    });
    deadlines.set(bad, 10);
    deadlines.set(new Entry('good', log), 10);
    expect(() => vi.advanceTimersByTime(10)).toThrow('bad');
    vi.advanceTimersByTime(1);
    expect(log).toEqual(['bad', 'good']);
  });

  it('may be further away than a timer can be set', () => {
    const deadlines = new Deadlines();
    deadlines.set(new Entry('late', log), 2 ** 32);
    vi.advanceTimersByTime(2 ** 31);
    expect(log).toEqual([]);
    vi.advanceTimersByTime(2 ** 31);
    expect(log).toEqual(['late']);
  });
});
