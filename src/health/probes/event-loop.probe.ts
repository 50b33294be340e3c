import type { EventLoopLag } from '../event-loop-lag.js';
import type { ComponentHealth, HealthProbe } from '../health-probe.js';

const SLOW_P99_MS = 200;

/** A loop that is late makes every request late. */
export class EventLoopProbe implements HealthProbe {
  readonly name = 'event_loop';
  readonly critical = false;

  constructor(private readonly lag: Pick<EventLoopLag, 'current'>) {}

  check(): Promise<ComponentHealth> {
    const figures = this.lag.current();
    return Promise.resolve({
      status: figures.p99_ms > SLOW_P99_MS ? 'degraded' : 'up',
      latencyMs: figures.mean_ms,
      details: { ...figures },
    });
  }
}
