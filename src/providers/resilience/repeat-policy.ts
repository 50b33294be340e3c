import { type CallPlacement, type GatewayErrorCode, ProviderError } from '@app/contracts';
import type { Clock } from './resilience.js';
import type { RetryBudget } from './retry-budget.js';

/** For this request, a provider that asks for a longer pause is given up. */
const MAX_PATIENCE_MS = 10_000;
const MAX_EXTRA_MS = 250;

/** A later call to the same target may well succeed: not so after our own refusals, or faults of the account. */
const PASSING: ReadonlySet<GatewayErrorCode> = new Set(['provider_overloaded', 'provider_rate_limited']);

export interface RepeatSettings {
  /** Calls in all, the first included. */
  readonly maxAttempts: number;
  readonly baseDelayMs: number;
  readonly maxDelayMs: number;
}

/**
 * Whether and when a failed call is made again on the same target.
 *
 * Only calls that were certainly not processed are repeated: a completion is not idempotent, and one that may have run
 * would be paid twice.
 */
export class RepeatPolicy {
  constructor(
    private readonly settings: RepeatSettings,
    private readonly budget: RetryBudget,
    private readonly now: Clock,
    private readonly random: () => number,
  ) {}

  /**
   * @param attempt   of the failed call, from 1
   * @param endsAtMs  by our clock. A retry past that would hide the refusal behind a timeout
   * @returns ms to wait before the next call; `undefined` = let the error stand
   */
  delayMs(
    error: unknown,
    attempt: number,
    endsAtMs: number,
    placement: CallPlacement | undefined,
  ): number | undefined {
    if (!(error instanceof ProviderError) || error.processed !== 'no' || !PASSING.has(error.code))
      return undefined;
    if (attempt >= this.settings.maxAttempts || placement?.hasAlternative) return undefined;
    const delayMs = this.#wait(error, attempt);
    if (delayMs === undefined || this.now() + delayMs >= endsAtMs || !this.budget.tryRetry())
      return undefined;
    return delayMs;
  }

  /**
   * What the provider asked for, and a little more, so that not all come back at once; else exponential with jitter.
   * @returns `undefined` when it asks for too long a pause
   */
  #wait({ retryAfterMs }: ProviderError, attempt: number): number | undefined {
    const { baseDelayMs, maxDelayMs } = this.settings;
    const patienceMs = Math.min(maxDelayMs, MAX_PATIENCE_MS);
    // 0 names no time either, and would bring all of them back at once.
    if (!retryAfterMs) {
      return Math.min(patienceMs, baseDelayMs * 2 ** (attempt - 1)) * (0.5 + 0.5 * this.random());
    }
    if (retryAfterMs > patienceMs) return undefined;
    return retryAfterMs + this.random() * Math.min(MAX_EXTRA_MS, retryAfterMs * 0.1);
  }
}
