/** Recovery after a crash can take its time, on a slow disk with much to replay. */
export const RECOVERY_MS = 600_000;
/** How long a server may take that says it is shutting down. */
const SHUTDOWN_MS = 60_000;
const TELL_EVERY_MS = 60_000;

/** What a server says to one login. */
export type Answer = 'let in' | 'recovering' | 'shutting down' | 'silence';

export interface Waiting {
  readonly log: (message: string) => void;
  /** Ends the waiting, not the server. */
  readonly signal: AbortSignal;
  /** How long one may keep silent before it counts as hung. Default: as long as who waits finds right. */
  readonly silenceMs?: number | undefined;
  /** Default `RECOVERY_MS`. */
  readonly recoveryMs?: number | undefined;
}

/**
 * How long a server is waited for that lets nobody in yet. Recovery that is broken off begins anew at the next start, and
 * with too little patience it never ends.
 */
export class Patience {
  readonly #startMs = performance.now();
  #heardMs = this.#startMs;
  #tellMs = this.#startMs;
  readonly #log: (message: string) => void;
  readonly #silenceMs: number;
  readonly #recoveryMs: number;

  constructor({ log, silenceMs, recoveryMs = RECOVERY_MS }: Waiting, defaultSilenceMs: number) {
    this.#log = log;
    this.#silenceMs = silenceMs ?? defaultSilenceMs;
    this.#recoveryMs = recoveryMs;
  }

  endsAt(answer: Answer): boolean {
    const nowMs = performance.now();
    const waitedMs = nowMs - this.#startMs;
    if (answer !== 'silence') this.#heardMs = nowMs;
    if (answer === 'recovering' && nowMs >= this.#tellMs) {
      this.#tellMs = nowMs + TELL_EVERY_MS;
      const [waited, limit] = [waitedMs, this.#recoveryMs].map((ms) => `${Math.round(ms / 1000)} s`);
      this.#log(`the embedded PostgreSQL is recovering from a crash: waited for ${waited}, at most ${limit}`);
    }
    const limitMs = answer === 'shutting down' ? SHUTDOWN_MS : this.#recoveryMs;
    return waitedMs > limitMs || nowMs - this.#heardMs > this.#silenceMs;
  }
}
