import type { Worker } from 'node:cluster';

const PULSE_MS = 5_000;
/** Half a minute: no turn of the event loop takes that long, and while a machine sleeps none is missed. */
const MISSED_TO_END = 6;

const ASK = 'gateway-pulse';
const ANSWER = 'gateway-pulse-answer';

type Watched = Pick<Worker, 'on' | 'send' | 'isConnected'>;

/**
 * From outside, a hung worker cannot be told from the others: through the shared port, some probes are still answered. So
 * the primary pings each worker, and kills one that has answered before and no longer does.
 *
 * @param onHung  called once, after so many milliseconds of silence
 */
export function watchPulse(worker: Watched, onHung: (silentMs: number) => void): void {
  let missed: number | undefined;
  const timer = setInterval(() => {
    if (missed !== undefined && ++missed > MISSED_TO_END) {
      clearInterval(timer);
      onHung(MISSED_TO_END * PULSE_MS);
    } else if (worker.isConnected()) worker.send(ASK, () => undefined);
  }, PULSE_MS);
  timer.unref();
  worker.on('message', (message: unknown) => {
    if (message === ANSWER) missed = 0;
  });
  worker.on('exit', () => clearInterval(timer));
}

/** The worker's part, from the moment on that it serves. */
export function answerPulse(ipc: Pick<NodeJS.Process, 'on' | 'send'> = process): void {
  ipc.on('message', (message: unknown) => {
    if (message === ASK) ipc.send?.(ANSWER, undefined, undefined, () => undefined);
  });
}
