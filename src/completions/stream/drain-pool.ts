import { Injectable } from '@nestjs/common';
import { Telemetry } from '../../telemetry/telemetry.js';

export const MAX_DRAINS = 64;
export const MAX_DRAIN_MS = 120_000;

/**
 * Answers being read to their end although their client has left, because the provider bills to the end anyway and
 * only its last event tells how much. Bounded in number and time; over the bound a drain is refused.
 */
@Injectable()
export class DrainPool {
  #active = new Set<Promise<void>>();

  constructor(telemetry: Telemetry) {
    telemetry.addGauge({ name: 'drains_active', read: () => this.#active.size });
  }

  /** @returns false when the pool is full: the caller aborts instead */
  tryDrain(drain: (signal: AbortSignal) => Promise<void>): boolean {
    if (this.#active.size >= MAX_DRAINS) return false;
    const running = drain(AbortSignal.timeout(MAX_DRAIN_MS)).finally(() => this.#active.delete(running));
    this.#active.add(running);
    return true;
  }

  /** Resolves when every drain has ended. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#active);
  }
}
