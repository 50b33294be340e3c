import { BUCKETS_PER_WINDOW, type WindowState } from './limit-store.js';

/**
 * Counts of one sliding window, by bucket. A bucket counts for as long as any instant of it can lie in the window,
 * so what is counted is never less than what happened: the limit holds in every window, not only in aligned ones.
 *
 * Only buckets with something in them are kept, so an idle user costs a few words. Not safe without `advance` first.
 */
export class SlidingWindow {
  readonly #bucketMs: number;
  #buckets: number[] = [];
  #counts: number[] = [];
  #sum = 0;

  constructor(windowMs: number) {
    this.#bucketMs = windowMs / BUCKETS_PER_WINDOW;
  }

  get sum(): number {
    return this.#sum;
  }

  /** Drops what has left the window. */
  advance(nowMs: number): void {
    const oldestLive = Math.floor(nowMs / this.#bucketMs) - BUCKETS_PER_WINDOW;
    while (this.#buckets.length > 0 && this.#buckets[0]! < oldestLive) {
      this.#buckets.shift();
      this.#sum -= this.#counts.shift()!;
    }
    if (this.#buckets.length === 0) this.#sum = 0; // fractions leave dust
  }

  /** @returns true when this opened a new bucket */
  add(nowMs: number, units: number): boolean {
    if (units <= 0) return false;
    const bucket = Math.floor(nowMs / this.#bucketMs);
    this.#sum += units;
    const last = this.#buckets.length - 1;
    if (last >= 0 && this.#buckets[last]! >= bucket) {
      this.#counts[last]! += units;
      return false;
    }
    this.#buckets.push(bucket);
    this.#counts.push(units);
    return true;
  }

  /** Takes the oldest units off: what stays counts for longer than it should, never for less. */
  removeOldest(units: number): void {
    let left = Math.min(units, this.#sum);
    while (left > 0 && this.#counts.length > 0) {
      const taken = Math.min(left, this.#counts[0]!);
      left -= taken;
      this.#sum -= taken;
      this.#counts[0]! -= taken;
      if (this.#counts[0]! <= 0) {
        this.#counts.shift();
        this.#buckets.shift();
      }
    }
  }

  /** Makes the sum what somebody who sees all of the window says it is. */
  alignTo(nowMs: number, sum: number): void {
    if (sum > this.#sum) this.add(nowMs, sum - this.#sum);
    else if (sum < this.#sum) this.removeOldest(this.#sum - sum);
  }

  /** Until `units` have left, ms; until the window is empty when it holds less. */
  freesInMs(nowMs: number, units: number): number {
    let freed = 0;
    for (let index = 0; index < this.#counts.length; index++) {
      freed += this.#counts[index]!;
      if (freed >= units || index === this.#counts.length - 1)
        return this.#leavesInMs(nowMs, this.#buckets[index]!);
    }
    return 0;
  }

  state(nowMs: number): WindowState {
    const { length } = this.#buckets;
    if (length === 0) return { used: 0, growsInMs: 0, emptyInMs: 0 };
    return {
      used: this.#sum,
      growsInMs: this.#leavesInMs(nowMs, this.#buckets[0]!),
      emptyInMs: this.#leavesInMs(nowMs, this.#buckets[length - 1]!),
    };
  }

  #leavesInMs(nowMs: number, bucket: number): number {
    return Math.max(0, Math.ceil((bucket + BUCKETS_PER_WINDOW + 1) * this.#bucketMs - nowMs));
  }
}
