import { GatewayError } from '@app/contracts';
import { Injectable } from '@nestjs/common';
import { setTimeout as sleep } from 'node:timers/promises';
import { Telemetry } from '../telemetry/telemetry.js';

const POLL_MS = 20;

/** The completions under way, so that a shutdown can wait for them and, when its grace is over, end them. */
@Injectable()
export class InFlight {
  readonly #upstreams = new Set<AbortController>();
  #streams = 0;

  constructor(telemetry: Telemetry) {
    telemetry.addGauge({ name: 'streams_open', read: () => this.#streams });
  }

  get count(): number {
    return this.#upstreams.size;
  }

  add(upstream: AbortController): void {
    this.#upstreams.add(upstream);
  }

  streamOpened(): void {
    this.#streams += 1;
  }

  streamEnded(): void {
    this.#streams -= 1;
  }

  delete(upstream: AbortController): void {
    this.#upstreams.delete(upstream);
  }

  /** Resolves when nothing is under way, or after `timeoutMs`. */
  async idle(timeoutMs: number): Promise<boolean> {
    const deadlineMs = performance.now() + timeoutMs;
    while (this.count > 0 && performance.now() < deadlineMs) await sleep(POLL_MS);
    return this.count === 0;
  }

  /** Ends what is left: its clients get an error event, its money is settled like a provider's failure. */
  abortAll(): void {
    const reason = new GatewayError('draining', 'The gateway is shutting down.', { retryAfterMs: 1000 });
    for (const upstream of this.#upstreams) upstream.abort(reason);
  }
}
