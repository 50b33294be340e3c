import { Injectable } from '@nestjs/common';
import { Telemetry } from '../../telemetry/telemetry.js';

const MAX_DRAINS = 64;
const MAX_DRAIN_MS = 120_000;

/**
 * Answers that are read to their end although the client has left, because the provider bills to the end anyway and only
 * its last event says how much. Limited in number and time; beyond that, drains are refused.
 */
@Injectable()
export class DrainPool {
  readonly #active = new Set<Promise<void>>();

  constructor(telemetry: Telemetry) {
    telemetry.addGauge({ name: 'drains_active', read: () => this.#active.size });
  }

  /** @returns false when the pool is full: the caller aborts instead */
  tryDrain(drain: (signal: AbortSignal) => Promise<void>): boolean {
    if (this.#active.size >= MAX_DRAINS) return false;
    this.#run(drain, AbortSignal.timeout(MAX_DRAIN_MS));
    return true;
  }

  /** For an answer that is owed to a retry: never refused, and without a limit but the request's own. */
  drain(drain: (signal: AbortSignal) => Promise<void>): void {
    this.#run(drain, new AbortController().signal);
  }

  #run(drain: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): void {
    const running = drain(signal).finally(() => this.#active.delete(running));
    this.#active.add(running);
  }

  /** Resolves when every drain has ended. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#active);
  }
}
