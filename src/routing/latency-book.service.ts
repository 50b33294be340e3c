import { Injectable } from '@nestjs/common';
import { TargetMemory } from '../providers/resilience/target-memory.js';

/** A whole answer and the first chunk of a stream are figures of different size. */
export type AnswerKind = 'whole' | 'stream';

interface Entry {
  averageMs: number;
  atMs: number;
}

/** The weight of what was measured before sinks to 1/e in this time. */
const MEMORY_MS = 30_000;
/** However quickly calls follow each other, a new one counts for so much. */
const LEAST_WEIGHT = 0.1;
/** What was measured before says nothing any more: the target is to be tried again. */
const STALE_AFTER_MS = 60_000;

/**
 * How long targets take to begin: an average that forgets with time (EWMA), in ms. `undefined` = not known, or not
 * known any more, so that a slow target is measured again now and then.
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

  /** The provider is another one now. */
  renew(provider: string): void {
    this.#entries.whole.renew(provider);
    this.#entries.stream.renew(provider);
  }
}
