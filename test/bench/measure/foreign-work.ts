import { cpuBetween, machineBusyMicros, processTree, readCpu } from './process-cost.ts';

/** What the machine did for others since this was made. */
export class ForeignWork {
  readonly #startedMs = performance.now();
  readonly #busy = machineBusyMicros();
  readonly #ours = readCpu(processTree(process.pid));

  /** On average. Short-lived processes of ours count as others': there are few. */
  cores(): number {
    const ours = cpuBetween(this.#ours, readCpu(processTree(process.pid)));
    const micros = (performance.now() - this.#startedMs) * 1000;
    return Math.max(0, (machineBusyMicros() - this.#busy - ours) / micros);
  }
}
