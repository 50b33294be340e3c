import type { WindowRule } from './limit-store.js';
import { SlidingWindow } from './sliding-window.js';

/** Beyond this many, users are forgotten, the longest idle first. An occasional user takes half a kilobyte, one with counts in every bucket 1.6 kB. */
const MAX_WINDOWS_PER_RULE = 100_000;
/** Idle windows looked at whenever a new one is made: more leave than come, without a timer. */
const SWEEP_STEPS = 2;

/** The windows of one process, by rule and key: bounded, and swept as it grows. */
export class WindowTable {
  readonly #tables = new Map<string, Map<string, SlidingWindow>>();

  constructor(private readonly maxPerRule = MAX_WINDOWS_PER_RULE) {}

  /** The window with everything outdated gone, or `undefined` when nothing was ever counted. */
  find(rule: WindowRule, key: string, nowMs: number): SlidingWindow | undefined {
    const window = this.#tables.get(rule.name)?.get(key);
    window?.advance(nowMs);
    return window;
  }

  /** One that is not there yet is kept when it is touched. */
  #open(rule: WindowRule, key: string, nowMs: number): SlidingWindow {
    const found = this.find(rule, key, nowMs);
    if (found) return found;
    this.#makeRoom(this.#table(rule), nowMs);
    return new SlidingWindow(rule.windowMs);
  }

  /**
   * Adds and keeps the table in order of last use, as finely as buckets are.
   *
   * @param found  the window, when it was looked up just now
   */
  add(rule: WindowRule, key: string, nowMs: number, units: number, found?: SlidingWindow): SlidingWindow {
    const window = found ?? this.#open(rule, key, nowMs);
    if (window.add(nowMs, units)) this.#touch(rule, key, window);
    return window;
  }

  /** Makes a window's sum what somebody who sees all of it says it is. */
  align(rule: WindowRule, key: string, nowMs: number, sum: number): void {
    const window = sum > 0 ? this.#open(rule, key, nowMs) : this.find(rule, key, nowMs);
    if (!window) return;
    window.alignTo(nowMs, sum);
    this.#touch(rule, key, window);
  }

  remove(rule: WindowRule, key: string): void {
    this.#tables.get(rule.name)?.delete(key);
  }

  /** The keys of a rule, the most recently used last. A copy: the table may change while it is walked. */
  keys(ruleName: string): string[] {
    return [...(this.#tables.get(ruleName)?.keys() ?? [])];
  }

  get size(): number {
    let size = 0;
    for (const table of this.#tables.values()) size += table.size;
    return size;
  }

  #table(rule: WindowRule): Map<string, SlidingWindow> {
    let table = this.#tables.get(rule.name);
    if (!table) this.#tables.set(rule.name, (table = new Map()));
    return table;
  }

  #touch(rule: WindowRule, key: string, window: SlidingWindow): void {
    const table = this.#table(rule);
    table.delete(key);
    table.set(key, window);
  }

  #makeRoom(table: Map<string, SlidingWindow>, nowMs: number): void {
    let steps = 0;
    for (const [key, window] of table) {
      if (++steps > SWEEP_STEPS) break;
      window.advance(nowMs);
      if (window.sum > 0 && table.size < this.maxPerRule) break;
      table.delete(key);
    }
  }
}
