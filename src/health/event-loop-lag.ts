import { Injectable } from '@nestjs/common';
import { RecentTurns } from '../timing/recent-turns.js';

export interface LagFigures {
  readonly mean_ms: number;
  readonly p50_ms: number;
  readonly p99_ms: number;
  readonly max_ms: number;
  /** Share of the time the loop was busy, 0 to 1. */
  readonly utilization: number;
  /** Share of the time its thread had a core. If far below `utilization`, the machine is the bottleneck. */
  readonly cpu: number;
}

/** How long a request may have to wait for its turn, over the last 30 to 60 seconds. */
@Injectable()
export class EventLoopLag {
  constructor(private readonly recent: RecentTurns) {}

  current(): LagFigures {
    const { turns, utilization, cpu } = this.recent;
    return {
      mean_ms: rounded(turns.meanMs),
      p50_ms: rounded(turns.percentileMs(50)),
      p99_ms: rounded(turns.percentileMs(99)),
      max_ms: rounded(turns.maxMs),
      utilization: Math.round(utilization * 1000) / 1000,
      cpu: Math.round(cpu * 1000) / 1000,
    };
  }
}

function rounded(ms: number): number {
  return Math.round(ms * 100) / 100;
}
