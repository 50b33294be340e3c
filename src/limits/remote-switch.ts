/** Failures in a row before nobody waits for the shared store any more. */
const FAILURES_TO_OPEN = 3;

/**
 * Decides whether the shared store is asked at all: after three failures in a row it is not, until a probe in the
 * background (never a client's request) found it well again.
 */
export class RemoteSwitch {
  #failures = 0;
  #isAway = false;
  #sinceMs = Date.now();
  #lastError: string | undefined;

  constructor(private readonly onChange: (isAway: boolean) => void) {}

  get isAway(): boolean {
    return this.#isAway;
  }

  /** The last word of the store was a failure: what was sent then may still be carried out. */
  get isShaky(): boolean {
    return this.#isAway || this.#failures > 0;
  }

  get since(): Date {
    return new Date(this.#sinceMs);
  }

  get lastError(): string | undefined {
    return this.#lastError;
  }

  failed(error: unknown): void {
    this.#lastError = error instanceof Error ? error.message : String(error);
    if (++this.#failures >= FAILURES_TO_OPEN) this.#turn(true);
  }

  /** The connection is gone: no need to fail three times. */
  disconnected(): void {
    this.#lastError = 'connection lost';
    this.#turn(true);
  }

  worked(): void {
    this.#failures = 0;
    if (this.#isAway) this.#turn(false);
  }

  #turn(isAway: boolean): void {
    if (this.#isAway === isAway) return;
    this.#isAway = isAway;
    this.#failures = 0;
    this.#sinceMs = Date.now();
    this.onChange(isAway);
  }
}
