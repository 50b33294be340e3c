import { Injectable, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import type { ComponentStatus } from './health-probe.js';
import { HealthChecks, type OverallStatus, overall } from './health-checks.service.js';

/** Every half minute, the last eight hours. */
export const HISTORY_INTERVAL_MS = 30_000;
export const HISTORY_LENGTH = 1_000;

export interface HistoryEntry {
  readonly timestamp: string;
  readonly status: OverallStatus;
  readonly components: Readonly<
    Record<string, { readonly status: ComponentStatus; readonly latency_ms: number }>
  >;
}

/** What the background check saw, newest first. Lives as long as the process. */
@Injectable()
export class HealthHistory implements OnApplicationBootstrap, OnApplicationShutdown {
  readonly #entries: HistoryEntry[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(private readonly checks: HealthChecks) {}

  onApplicationBootstrap(): void {
    // After the hooks of this round: one of them registers the probes.
    setImmediate(() => void this.record());
    this.#timer = setInterval(() => void this.record(), HISTORY_INTERVAL_MS).unref();
  }

  onApplicationShutdown(): void {
    clearInterval(this.#timer);
  }

  latest(limit: number): HistoryEntry[] {
    return this.#entries.slice(-limit).reverse();
  }

  async record(): Promise<void> {
    const components = await this.checks.background();
    this.#entries.push({
      timestamp: new Date().toISOString(),
      status: overall(components),
      components: Object.fromEntries(
        components.map(({ probe, health }) => [
          probe.group === undefined ? probe.name : `${probe.group}.${probe.name}`,
          { status: health.status, latency_ms: rounded(health.latencyMs) },
        ]),
      ),
    });
    if (this.#entries.length > HISTORY_LENGTH) this.#entries.shift();
  }
}

function rounded(ms: number): number {
  return Math.round(ms * 100) / 100;
}
