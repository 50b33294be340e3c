/**
 * Tells the moments of a Poisson process, from a thread of its own: Node's timers are good to a millisecond, which is
 * more than a proxy adds. Sleeping in `Atomics.wait` is good to about a tenth of that and burns nothing.
 */
import { parentPort, Worker, workerData } from 'node:worker_threads';

interface ClockData {
  readonly perSecond: number;
  readonly stop: Int32Array<SharedArrayBuffer>;
}

/** Milliseconds of the machine's monotonic clock: the same in all threads, unlike `performance.now()`. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

export class ArrivalClock {
  readonly #stop: Int32Array<SharedArrayBuffer>;
  readonly #worker: Worker;

  private constructor(worker: Worker, stop: Int32Array<SharedArrayBuffer>) {
    this.#worker = worker;
    this.#stop = stop;
  }

  /** @param arrive  called for each arrival with the time it was due */
  static start(perSecond: number, arrive: (dueMs: number) => void): ArrivalClock {
    const stop = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
    const data: ClockData = { perSecond, stop };
    const worker = new Worker(new URL(import.meta.url), { workerData: data });
    worker.on('message', arrive);
    return new ArrivalClock(worker, stop);
  }

  async stop(): Promise<void> {
    this.#worker.removeAllListeners('message');
    Atomics.store(this.#stop, 0, 1);
    Atomics.notify(this.#stop, 0);
    await this.#worker.terminate();
  }
}

if (parentPort) tick(parentPort, workerData as ClockData);

function tick(port: NonNullable<typeof parentPort>, { perSecond, stop }: ClockData): void {
  // The thread took its time to start: the first arrival is due from now.
  for (let dueMs = monotonicMs(); ; dueMs += (-Math.log(1 - Math.random()) * 1000) / perSecond) {
    const leftMs = dueMs - monotonicMs();
    if (leftMs > 0) Atomics.wait(stop, 0, 0, leftMs);
    if (Atomics.load(stop, 0) === 1) return;
    port.postMessage(dueMs);
  }
}
