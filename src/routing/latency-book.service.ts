import { Injectable } from '@nestjs/common';
import { TargetMemory } from '../providers/resilience/target-memory.js';

/** The times of a whole answer and of a stream's first chunk differ too much for one average. */
export type AnswerKind = 'whole' | 'stream';

interface Entry {
  averageMs: number;
  atMs: number;
}

/** In this time the weight of older measurements falls to 1/e. */
const MEMORY_MS = 30_000;
/** The weight of a new measurement, however quickly calls follow each other. */
const LEAST_WEIGHT = 0.1;
/** Older measurements mean nothing: the target is to be tried again. */
const STALE_AFTER_MS = 60_000;

/**
 * How long targets take to begin, in ms: an exponentially weighted moving average. `undefined` = not known, or no longer, so
 * that a slow target is measured again now and then.
 */
@Injectable()
export class LatencyBook {
  readonly #entries: Record<AnswerKind, TargetMemory<Entry>> = {
    whole: new TargetMemory(),
    stream: new TargetMemory(),
  };

  note(
    provider: string,
    model: string,
    kind: AnswerKind,
    elapsedMs: number,
    nowMs = performance.now(),
  ): void {
    const entries = this.#entries[kind];
    if (entries.isOutdated(provider, nowMs - elapsedMs)) return;
    const entry = entries.get(provider, model);
    if (!entry) return entries.set(provider, model, { averageMs: elapsedMs, atMs: nowMs });
    const weight = Math.max(LEAST_WEIGHT, 1 - Math.exp((entry.atMs - nowMs) / MEMORY_MS));
    entry.averageMs += weight * (elapsedMs - entry.averageMs);
    entry.atMs = nowMs;
  }

  averageMs(provider: string, model: string, kind: AnswerKind): number | undefined {
    const entry = this.#entries[kind].get(provider, model);
    return entry && performance.now() - entry.atMs < STALE_AFTER_MS ? entry.averageMs : undefined;
  }

  /** The provider has changed. */
  renew(provider: string): void {
    this.#entries.whole.renew(provider);
    this.#entries.stream.renew(provider);
  }
}
