type Reject = (reason: unknown) => void;

/**
 * The end of one call, whoever brings it about: the caller's signal, or one of our own limits. Gives the strategy one
 * signal, and lets nobody wait on for a strategy that does not heed it.
 */
export class CallGuard {
  readonly #controller = new AbortController();
  readonly #parent: AbortSignal;
  readonly #waiting = new Set<Reject>();
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #onParentAbort = (): void => this.abort(abortReason(this.#parent));

  constructor(parent: AbortSignal) {
    this.#parent = parent;
    if (parent.aborted) this.#onParentAbort();
    else parent.addEventListener('abort', this.#onParentAbort, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Ends the call with this error, once. */
  abort(reason: unknown): void {
    if (this.signal.aborted) return;
    this.end();
    this.#controller.abort(reason);
    for (const reject of this.#waiting) reject(reason);
    this.#waiting.clear();
  }

  /** Lets go of timers and of the caller's signal. The call may not be aborted by them any more. */
  end(): void {
    this.#parent.removeEventListener('abort', this.#onParentAbort);
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  /** Aborts with what `reason` says unless the returned function is called within the time. */
  limit(ms: number, reason: () => unknown): () => void {
    const timer = setTimeout(() => this.abort(reason()), ms);
    this.#timers.add(timer);
    return () => {
      clearTimeout(timer);
      this.#timers.delete(timer);
    };
  }

  /** The work's result, or the reason of the abort, whichever is first. */
  race<T>(work: Promise<T>): Promise<T> {
    if (this.signal.aborted) {
      work.catch(() => undefined);
      return Promise.reject(this.signal.reason);
    }
    return new Promise<T>((resolve, reject) => {
      this.#waiting.add(reject);
      work.then(
        (value) => {
          this.#waiting.delete(reject);
          resolve(value);
        },
        (error: unknown) => {
          this.#waiting.delete(reject);
          reject(error);
        },
      );
    });
  }

  async sleep(ms: number): Promise<void> {
    let wake = (): void => undefined;
    const slept = new Promise<void>((resolve) => (wake = resolve));
    const timer = setTimeout(wake, ms);
    this.#timers.add(timer);
    await this.race(slept);
    this.#timers.delete(timer);
  }
}

/** What an aborted signal stands for: its reason when it is an error, else an AbortError. */
export function abortReason(signal: AbortSignal): Error {
  const reason: unknown = signal.reason;
  return reason instanceof Error ? reason : new DOMException('The call was aborted', 'AbortError');
}
