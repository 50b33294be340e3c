import { CallSwitch, GatewayError } from '@app/contracts';
import { Injectable } from '@nestjs/common';
import { setTimeout as sleep } from 'node:timers/promises';
import { Telemetry } from '../telemetry/telemetry.js';

const POLL_MS = 20;

/** Aborts one completion's upstream calls. */
class Upstream extends CallSwitch {
  /** Its index among those under way. */
  place = 0;
}

/**
 * The completions under way, so that a shutdown can wait for them and, when its grace is over, end them.
 *
 * In a list without order and not in a Set: a Set that is always added to and taken from makes itself a new table every
 * so often, and the old ones keep what was in them, whole requests, until the next full collection.
 */
@Injectable()
export class InFlight {
  readonly #upstreams: Upstream[] = [];
  #streams = 0;

  constructor(telemetry: Telemetry) {
    telemetry.addGauge({ name: 'streams_open', read: () => this.#streams });
  }

  get count(): number {
    return this.#upstreams.length;
  }

  begin(): Upstream {
    const upstream = new Upstream();
    upstream.place = this.#upstreams.push(upstream) - 1;
    return upstream;
  }

  /** Once for each that began; the last of the list takes its place. */
  end(upstream: Upstream): void {
    if (this.#upstreams[upstream.place] !== upstream) return;
    const last = this.#upstreams.pop()!;
    if (last === upstream) return;
    this.#upstreams[upstream.place] = last;
    last.place = upstream.place;
  }

  streamOpened(): void {
    this.#streams += 1;
  }

  streamEnded(): void {
    this.#streams -= 1;
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
    for (const upstream of this.#upstreams.slice()) upstream.abort(reason);
  }
}
