import { type EventLoopUtilization, performance } from 'node:perf_hooks';
import { TurnTimes } from './turn-times.js';

const WINDOW_MS = 30_000;

interface Window {
  readonly turns: TurnTimes;
  start: WindowStart;
}

interface WindowStart {
  readonly atMs: number;
  readonly utilization: EventLoopUtilization;
  readonly cpu: NodeJS.CpuUsage;
}

/**
 * The turns of the event loop over the last 30 to 60 seconds, whoever asks and however often: two Prometheus servers, `/health` and
 * a person with curl see the same. Two windows run at a time; the older one answers, and starts afresh once the younger
 * has run for half a minute.
 */
export class RecentTurns {
  #longer: Window = begin();
  #shorter: Window = begin();
  #timer: NodeJS.Timeout | undefined;

  start(): void {
    this.#longer.turns.start();
    this.#shorter.turns.start();
    this.#timer = setInterval(() => this.#roll(), WINDOW_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#longer.turns.stop();
    this.#shorter.turns.stop();
  }

  /** From here on the loop is there for requests: the long turns of the start do not count. */
  resetAfterStart(): void {
    this.#longer.turns.resetAfterStart();
    this.#shorter.turns.resetAfterStart();
  }

  get turns(): TurnTimes {
    return this.#longer.turns;
  }

  /** Share of the time the loop was busy, 0 to 1. */
  get utilization(): number {
    return performance.eventLoopUtilization(this.#longer.start.utilization).utilization;
  }

  /**
   * Share of the time that the loop's thread had a core, 0 to 1. If this is far below `utilization`, the loop is not overworked but kept
   * waiting: by other processes, a CPU limit, the hypervisor or a disk.
   */
  get cpu(): number {
    const { atMs, cpu } = this.#longer.start;
    const { user, system } = process.threadCpuUsage(cpu);
    return Math.min(1, (user + system) / 1000 / (performance.now() - atMs));
  }

  #roll(): void {
    [this.#longer, this.#shorter] = [this.#shorter, this.#longer];
    this.#shorter.turns.reset();
    this.#shorter.start = windowStart();
  }
}

function begin(): Window {
  return { turns: new TurnTimes(), start: windowStart() };
}

function windowStart(): WindowStart {
  return {
    atMs: performance.now(),
    utilization: performance.eventLoopUtilization(),
    cpu: process.threadCpuUsage(),
  };
}
