import { cpuBetween, machineBusyMicros, processTree, readCpu } from './process-cost.ts';

interface Reading {
  readonly atMs: number;
  readonly busy: number;
  readonly ours: ReadonlyMap<number, number>;
}

/** What the machine does for others while we measure. */
export class ForeignWork {
  #opened = read();
  #micros = 0;
  #elapsedMicros = 0;

  /** Before processes of ours end: what they used goes with them. */
  close(): void {
    const { atMs, busy, ours } = read();
    this.#micros += busy - this.#opened.busy - cpuBetween(this.#opened.ours, ours);
    this.#elapsedMicros += (atMs - this.#opened.atMs) * 1000;
    this.#opened = { atMs, busy, ours };
  }

  open(): void {
    this.#opened = read();
  }

  /** Kept busy, on average over all that was open until now. Short-lived processes of ours count as others'. */
  cores(): number {
    this.close();
    return Math.max(0, this.#micros / this.#elapsedMicros);
  }
}

function read(): Reading {
  return { atMs: performance.now(), busy: machineBusyMicros(), ours: readCpu(processTree(process.pid)) };
}
