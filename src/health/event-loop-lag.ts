import { Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';

/** How often the loop is looked at, milliseconds. */
const RESOLUTION_MS = 20;
const WINDOW_MS = 30_000;

export interface LagFigures {
  readonly mean_ms: number;
  readonly p50_ms: number;
  readonly p99_ms: number;
  readonly max_ms: number;
  /** Share of the time the loop was busy, 0 to 1. */
  readonly utilization: number;
}

/** How late timers fire: the time a request may wait for its turn. Over the last half to whole minute. */
@Injectable()
export class EventLoopLag implements OnModuleInit, OnApplicationShutdown {
  readonly #histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  #utilization = performance.eventLoopUtilization();
  #previous: LagFigures | undefined;
  #timer: NodeJS.Timeout | undefined;

  onModuleInit(): void {
    this.#histogram.enable();
    this.#timer = setInterval(() => this.#roll(), WINDOW_MS).unref();
  }

  onApplicationShutdown(): void {
    clearInterval(this.#timer);
    this.#histogram.disable();
  }

  current(): LagFigures {
    const now = this.#window();
    const before = this.#previous;
    if (!before) return now;
    return {
      ...now,
      p99_ms: Math.max(now.p99_ms, before.p99_ms),
      max_ms: Math.max(now.max_ms, before.max_ms),
    };
  }

  #roll(): void {
    this.#previous = this.#window();
    this.#histogram.reset();
    this.#utilization = performance.eventLoopUtilization();
  }

  #window(): LagFigures {
    return {
      mean_ms: late(this.#histogram.mean),
      p50_ms: late(this.#histogram.percentile(50)),
      p99_ms: late(this.#histogram.percentile(99)),
      max_ms: late(this.#histogram.max),
      utilization: Math.round(performance.eventLoopUtilization(this.#utilization).utilization * 1000) / 1000,
    };
  }
}

/** Node's histogram holds the whole interval, in nanoseconds: what is beyond the wanted interval is the delay. */
function late(nanoseconds: number): number {
  const ms = nanoseconds / 1e6 - RESOLUTION_MS;
  return ms > 0 ? Math.round(ms * 100) / 100 : 0;
}
