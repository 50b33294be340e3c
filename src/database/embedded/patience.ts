/** How long a server may take that says it is shutting down. */
const SHUTDOWN_MS = 60_000;
const TELL_EVERY_MS = 60_000;

/** What a server says to one login. */
export type Answer = 'let in' | 'full' | 'recovering' | 'shutting down' | 'silence';

export interface Waiting {
  readonly log: (message: string) => void;
  /** Ends the waiting, not the server. */
  readonly signal: AbortSignal;
  /** How long one may keep silent before it counts as hung. Default: as long as who waits finds right. */
  readonly silenceMs?: number | undefined;
}

/**
 * How long a server is waited for that lets nobody in yet: while it recovers from a crash, as long as that takes. Recovery
 * that is broken off begins anew at the next start.
 */
export class Patience {
  readonly #startMs = performance.now();
  #heardMs = this.#startMs;
  #tellMs = this.#startMs;
  /** It was not shutting down then. */
  #stayingMs = this.#startMs;
  readonly #log: (message: string) => void;
  readonly #silenceMs: number;

  constructor({ log, silenceMs }: Waiting, defaultSilenceMs: number) {
    this.#log = log;
    this.#silenceMs = silenceMs ?? defaultSilenceMs;
  }

  endsAt(answer: Answer): boolean {
    const nowMs = performance.now();
    if (answer !== 'silence') this.#heardMs = nowMs;
    if (answer !== 'shutting down') this.#stayingMs = nowMs;
    if (answer === 'recovering' && nowMs >= this.#tellMs) {
      this.#tellMs = nowMs + TELL_EVERY_MS;
      const waitedS = Math.round((nowMs - this.#startMs) / 1000);
      this.#log(
        `the embedded PostgreSQL is recovering from a crash, which can take minutes: waited for ${waitedS} s`,
      );
    }
    return nowMs - this.#stayingMs > SHUTDOWN_MS || nowMs - this.#heardMs > this.#silenceMs;
  }
}
