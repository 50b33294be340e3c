import { Injectable } from '@nestjs/common';
import { monotonicClock } from './resilience.js';
import { TargetMemory } from './target-memory.js';

/** After a 429 that names no time. */
const DEFAULT_COOLDOWN_MS = 5000;
const MAX_COOLDOWN_MS = 600_000;

/** Targets that asked for a pause (429). That is no failure: nothing is refused, others are merely tried first. */
@Injectable()
export class Cooldowns {
  readonly #untilMs = new TargetMemory<number>();

  /** @param askedAtMs  when that call began, by the monotonic clock */
  note(provider: string, model: string, retryAfterMs: number | undefined, askedAtMs: number): void {
    if (this.#untilMs.isOutdated(provider, askedAtMs)) return;
    const pauseMs = Math.min(retryAfterMs ?? DEFAULT_COOLDOWN_MS, MAX_COOLDOWN_MS);
    this.#untilMs.set(provider, model, monotonicClock() + pauseMs);
  }

  /** ms left; 0 = none. */
  leftMs(provider: string, model: string): number {
    if (this.#untilMs.isEmpty) return 0;
    const untilMs = this.#untilMs.get(provider, model);
    if (untilMs === undefined) return 0;
    const leftMs = untilMs - monotonicClock();
    if (leftMs > 0) return leftMs;
    this.#untilMs.delete(provider, model);
    return 0;
  }

  /** The provider has changed. */
  renew(provider: string): void {
    this.#untilMs.renew(provider);
  }
}
