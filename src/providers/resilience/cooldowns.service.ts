import { Injectable } from '@nestjs/common';
import { monotonicClock } from './resilience.js';
import { targetKey } from './target-key.js';

/** After a 429 that names no time. */
const DEFAULT_COOLDOWN_MS = 5000;
const MAX_COOLDOWN_MS = 600_000;
const MAX_ENTRIES = 1000;

/**
 * Targets that asked for a pause (429). A pause is no failure: nothing is refused, others are only tried first.
 */
@Injectable()
export class Cooldowns {
  readonly #untilMs = new Map<string, number>();

  note(provider: string, model: string, retryAfterMs: number | undefined): void {
    if (this.#untilMs.size >= MAX_ENTRIES) this.#untilMs.clear();
    const pauseMs = Math.min(retryAfterMs ?? DEFAULT_COOLDOWN_MS, MAX_COOLDOWN_MS);
    this.#untilMs.set(targetKey(provider, model), monotonicClock() + pauseMs);
  }

  /** ms left; 0 = none. */
  leftMs(provider: string, model: string): number {
    if (this.#untilMs.size === 0) return 0;
    const key = targetKey(provider, model);
    const untilMs = this.#untilMs.get(key);
    if (untilMs === undefined) return 0;
    const leftMs = untilMs - monotonicClock();
    if (leftMs > 0) return leftMs;
    this.#untilMs.delete(key);
    return 0;
  }
}
