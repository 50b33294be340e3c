import type { GatewayEvent, RequestRecord, TelemetrySink } from './telemetry.js';

/** A sink that cannot hurt: whatever it throws is counted, and the request goes on. */
export class GuardedSink implements TelemetrySink {
  #failures = 0;

  constructor(private readonly sink: TelemetrySink) {}

  get failures(): number {
    return this.#failures;
  }

  request(record: RequestRecord): void {
    try {
      this.sink.request?.(record);
    } catch {
      this.#failures++;
    }
  }

  event(event: GatewayEvent): void {
    try {
      this.sink.event?.(event);
    } catch {
      this.#failures++;
    }
  }
}
