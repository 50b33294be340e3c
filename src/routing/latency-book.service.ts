import { Injectable } from '@nestjs/common';
import { targetKey } from '../providers/resilience/target-key.js';

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
const MAX_ENTRIES = 1000;

/**
 * How long targets take to begin: an average that forgets with time (EWMA), in ms. `undefined` = not known, or not
 * known any more, so that a slow target is measured again now and then.
 */
@Injectable()
export class LatencyBook {
  readonly #entries: Record<AnswerKind, Map<string, Entry>> = { whole: new Map(), stream: new Map() };

  note(
    provider: string,
    model: string,
    kind: AnswerKind,
    elapsedMs: number,
    nowMs = performance.now(),
  ): void {
    const entries = this.#entries[kind];
    const key = targetKey(provider, model);
    const entry = entries.get(key);
    if (!entry) {
      if (entries.size >= MAX_ENTRIES) entries.clear();
      entries.set(key, { averageMs: elapsedMs, atMs: nowMs });
      return;
    }
    const weight = Math.max(LEAST_WEIGHT, 1 - Math.exp((entry.atMs - nowMs) / MEMORY_MS));
    entry.averageMs += weight * (elapsedMs - entry.averageMs);
    entry.atMs = nowMs;
  }

  averageMs(provider: string, model: string, kind: AnswerKind): number | undefined {
    const entry = this.#entries[kind].get(targetKey(provider, model));
    return entry && performance.now() - entry.atMs < STALE_AFTER_MS ? entry.averageMs : undefined;
  }
}
