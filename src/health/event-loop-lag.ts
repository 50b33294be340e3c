import {
  Injectable,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  type OnModuleInit,
} from '@nestjs/common';
import { performance } from 'node:perf_hooks';
import { TurnTimes } from '../timing/turn-times.js';

const WINDOW_MS = 30_000;

export interface LagFigures {
  readonly mean_ms: number;
  readonly p50_ms: number;
  readonly p99_ms: number;
  readonly max_ms: number;
  /** Share of the time the loop was busy, 0 to 1. */
  readonly utilization: number;
}

/** The time a request may wait for its turn. Over the last half to whole minute. */
@Injectable()
export class EventLoopLag implements OnModuleInit, OnApplicationBootstrap, OnApplicationShutdown {
  readonly #turns = new TurnTimes();
  #utilization = performance.eventLoopUtilization();
  #previous: LagFigures | undefined;
  #timer: NodeJS.Timeout | undefined;

  onModuleInit(): void {
    this.#turns.start();
    this.#timer = setInterval(() => this.#roll(), WINDOW_MS).unref();
  }

  /** From here on the loop is there for requests: the long turns of the start do not count. */
  onApplicationBootstrap(): void {
    this.#turns.resetAfterStart();
  }

  onApplicationShutdown(): void {
    clearInterval(this.#timer);
    this.#turns.stop();
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
    this.#turns.reset();
    this.#utilization = performance.eventLoopUtilization();
  }

  #window(): LagFigures {
    return {
      mean_ms: rounded(this.#turns.meanMs),
      p50_ms: rounded(this.#turns.percentileMs(50)),
      p99_ms: rounded(this.#turns.percentileMs(99)),
      max_ms: rounded(this.#turns.maxMs),
      utilization: Math.round(performance.eventLoopUtilization(this.#utilization).utilization * 1000) / 1000,
    };
  }
}

function rounded(ms: number): number {
  return Math.round(ms * 100) / 100;
}
