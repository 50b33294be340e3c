import type { FailureReason, IBackoff, IBackoffFactory } from 'cockatiel';
import type { Clock } from './resilience.js';

/** A probe that ended without showing anything about the provider: its client left, or it had hardly any time. */
export class InconclusiveProbe extends Error {
  override readonly name = 'InconclusiveProbe';
}

interface OpenedBecause {
  readonly result: FailureReason<unknown>;
}

/**
 * When an open breaker lets a probe through: a fixed time after it opened, by a monotonic clock.
 *
 * cockatiel compares with the wall clock, which may be set back or forth; so the duration it gets is either "not yet"
 * (infinite) or "now" (minus infinite), decided here. After an inconclusive probe the next call may try at once.
 */
export class BreakerRecovery implements IBackoffFactory<OpenedBecause> {
  #dueAtMs = 0;

  constructor(
    private readonly recoveryMs: number,
    private readonly now: Clock,
  ) {}

  /** 0 when a probe may go. */
  get dueInMs(): number {
    return Math.max(0, this.#dueAtMs - this.now());
  }

  next({ result }: OpenedBecause): IBackoff<OpenedBecause> {
    const isInconclusive = 'error' in result && result.error instanceof InconclusiveProbe;
    this.#dueAtMs = this.now() + (isInconclusive ? 0 : this.recoveryMs);
    const isDue = (): boolean => this.dueInMs === 0;
    return {
      get duration() {
        return isDue() ? -Infinity : Infinity;
      },
      next: (context) => this.next(context),
    };
  }
}
