import { CallSwitch, GatewayError } from '@app/contracts';
import { Injectable } from '@nestjs/common';
import { setTimeout as sleep } from 'node:timers/promises';
import { Telemetry } from '../telemetry/telemetry.js';
import { PlacedList } from './placed-list.js';

const POLL_MS = 20;

/** Aborts one completion's upstream calls. */
class Upstream extends CallSwitch {
  place = 0;
}

/** The completions under way, so that a shutdown can wait for them and, when its grace is over, end them. */
@Injectable()
export class InFlight {
  readonly #upstreams = new PlacedList<Upstream>();
  #streams = 0;

  constructor(telemetry: Telemetry) {
    telemetry.addGauge({ name: 'streams_open', read: () => this.#streams });
  }

  get count(): number {
    return this.#upstreams.size;
  }

  begin(): Upstream {
    const upstream = new Upstream();
    this.#upstreams.add(upstream);
    return upstream;
  }

  end(upstream: Upstream): void {
    this.#upstreams.remove(upstream);
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
    for (const upstream of this.#upstreams.items.slice()) {
      // One each: what becomes of a call is noted of what it was aborted with.
      upstream.abort(new GatewayError('draining', 'The gateway is shutting down.', { retryAfterMs: 1000 }));
    }
  }
}
