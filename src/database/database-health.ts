/** After so many failures in a row the database counts as down. */
const FAILURES_TO_OPEN = 3;
/** While it is down, one attempt in this time goes through; the others fail at once. */
const TRIAL_INTERVAL_MS = 1_000;

export type DatabaseTurn =
  { readonly isUp: false; readonly error: Error } | { readonly isUp: true; readonly downForMs: number };

/**
 * What the connections have seen of the database lately, and the circuit breaker in front of new ones: without it every
 * request would wait out the connection timeout while the database is away.
 */
export class DatabaseHealth {
  /** Called when the database begins to count as down, and when it answers again. */
  onTurn: (turn: DatabaseTurn) => void = () => undefined;
  #failures = 0;
  #lastTrialMs = Number.NEGATIVE_INFINITY;
  #lastError: Error | undefined;
  #downSinceMs = 0;
  #lastAnswerMs = Number.NEGATIVE_INFINITY;
  #signs = 0;

  /** True until failures in a row say otherwise. */
  get isUp(): boolean {
    return this.#failures < FAILURES_TO_OPEN;
  }

  /** The latest failure; `undefined` since the last success. */
  get lastError(): Error | undefined {
    return this.#lastError;
  }

  /** Of the monotonic clock: when a statement was last answered. */
  get lastAnswerMs(): number {
    return this.#lastAnswerMs;
  }

  /** Changes with each sign of whether statements are answered. Noted when a statement is sent. */
  get signs(): number {
    return this.#signs;
  }

  /** A statement was answered well. */
  answered(): void {
    this.#signs += 1;
    this.#lastAnswerMs = performance.now();
    if (this.#failures > 0) this.succeeded();
  }

  succeeded(): void {
    const wasUp = this.isUp;
    this.#failures = 0;
    this.#lastError = undefined;
    if (!wasUp) this.onTurn({ isUp: true, downForMs: performance.now() - this.#downSinceMs });
  }

  /**
   * A statement was not answered in time. If others were answered meanwhile, it is merely slow; and however many wait
   * through the same silence, they are one failure: they may be one user's reads.
   *
   * @param signs  as they were when it was sent
   */
  silent(signs: number, error: Error): void {
    if (signs !== this.#signs) return;
    this.#signs += 1;
    this.failed(error);
  }

  failed(error: Error): void {
    this.#failures += 1;
    this.#lastError = error;
    if (this.#failures !== FAILURES_TO_OPEN) return;
    this.#downSinceMs = performance.now();
    this.onTurn({ isUp: false, error });
  }

  /** Whether a connection may be tried now. A `true` while the database is down is the trial of this second. */
  mayTry(nowMs = performance.now()): boolean {
    if (this.isUp) return true;
    if (nowMs - this.#lastTrialMs < TRIAL_INTERVAL_MS) return false;
    this.#lastTrialMs = nowMs;
    return true;
  }
}
