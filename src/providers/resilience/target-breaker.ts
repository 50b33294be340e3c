import { ProviderError } from '@app/contracts';
import {
  circuitBreaker,
  type CircuitBreakerPolicy,
  CircuitState,
  ConsecutiveBreaker,
  handleWhen,
} from 'cockatiel';
import { connectionFailure } from '../http/connection-failure.js';
import { BreakerRecovery, InconclusiveProbe } from './breaker-recovery.js';
import { circuitOpen } from './resilience-errors.js';
import type { Clock } from './resilience.js';

export type BreakerState = 'closed' | 'open' | 'half_open';

/** No words, as the provider may quote the prompt. */
interface BreakerFailure {
  readonly at: Date;
  readonly code: string;
  /** The provider's; `undefined` when it did not answer. */
  readonly status: number | undefined;
  /** What failed below HTTP. */
  readonly connection: string | undefined;
}

export interface BreakerSnapshot {
  readonly provider: string;
  readonly model: string;
  readonly state: BreakerState;
  /** Failures in a row. */
  readonly failures: number;
  readonly openedAt: Date | undefined;
  /** When an open breaker lets the next call through. */
  readonly nextAttemptAt: Date | undefined;
  /** The last that counted, even if calls have succeeded since. */
  readonly lastFailure: BreakerFailure | undefined;
}

interface BreakerSettings {
  /** Failures in a row that open it. */
  readonly failureThreshold: number;
  readonly recoveryTimeoutMs: number;
}

/** The probes since an open breaker was due; one of them has to be conclusive. */
interface ProbeRound {
  readonly verdict: PromiseWithResolvers<void>;
  readonly over: Promise<void>;
  underWay: number;
  /** By the breaker's clock: after that those under way are not waited for. */
  nextAtMs: number;
}

/** The breaker of one model at one provider: cockatiel's, with what a gateway needs around it. */
export class TargetBreaker {
  readonly #failures: ConsecutiveBreaker;
  readonly #recovery: BreakerRecovery;
  readonly #policy: CircuitBreakerPolicy;
  #openedAt: Date | undefined;
  #cause: string | undefined;
  #lastFailure: BreakerFailure | undefined;
  #round: ProbeRound | undefined;

  constructor(
    readonly provider: string,
    readonly model: string,
    private readonly settings: BreakerSettings,
    private readonly now: Clock,
    onState: (state: BreakerState) => void,
  ) {
    this.#failures = new ConsecutiveBreaker(settings.failureThreshold);
    this.#recovery = new BreakerRecovery(settings.recoveryTimeoutMs, now);
    this.#policy = circuitBreaker(
      handleWhen((error) => this.#counts(error)),
      {
        halfOpenAfter: this.#recovery,
        breaker: this.#failures,
      },
    );
    this.#policy.onBreak((reason) => {
      this.#openedAt = new Date();
      this.#cause =
        'error' in reason && reason.error instanceof ProviderError ? reason.error.code : undefined;
    });
    this.#policy.onStateChange(() => onState(this.state));
  }

  get state(): BreakerState {
    switch (this.#policy.state) {
      case CircuitState.Closed:
        return 'closed';
      case CircuitState.HalfOpen:
        return 'half_open';
      case CircuitState.Open:
      case CircuitState.Isolated:
        return 'open';
      default:
        return this.#policy.state satisfies never;
    }
  }

  /** The code of the failure that opened it last. */
  get cause(): string | undefined {
    return this.#cause;
  }

  /** True while a call would be refused. */
  get refuses(): boolean {
    switch (this.state) {
      case 'closed':
        return false;
      case 'open':
        return this.#recovery.dueInMs > 0;
      case 'half_open':
        return this.#round === undefined || this.now() < this.#round.nextAtMs;
    }
  }

  get isClosed(): boolean {
    return this.#policy.state === CircuitState.Closed;
  }

  /** Runs a call whose outcome counts, while the breaker is closed. */
  run<T>(work: () => Promise<T>): Promise<T> {
    return this.#policy.execute(work);
  }

  /**
   * Runs a call that shows whether the provider has recovered; it should end as soon as that is known. Meanwhile nobody else
   * waits for it: a completion may take minutes, and there may be another target. When it takes as long as a recovery,
   * another probe may go, and the first conclusive one decides.
   *
   * @throws ProviderError `circuit_open` when it is too early for a probe
   */
  async probe<T>(work: () => Promise<T>): Promise<T> {
    if (this.refuses) throw circuitOpen(this.provider, this.#recovery.dueInMs || PROBE_PATIENCE_MS);
    const round = (this.#round ??= this.#beginRound());
    round.underWay += 1;
    round.nextAtMs = this.now() + this.settings.recoveryTimeoutMs;
    try {
      const result = await work();
      await this.#decide(round, () => round.verdict.resolve());
      return result;
    } catch (error) {
      round.underWay -= 1;
      if (!tellsNothing(error)) await this.#decide(round, () => round.verdict.reject(error));
      else if (round.underWay === 0) {
        const inconclusive = new InconclusiveProbe('the probe was given up', { cause: error });
        await this.#decide(round, () => round.verdict.reject(inconclusive));
      }
      throw error;
    }
  }

  /** cockatiel allows one probe only, so it runs the verdict of all of them instead. */
  #beginRound(): ProbeRound {
    const verdict = Promise.withResolvers<void>();
    const over = this.#policy.execute(() => verdict.promise).catch(() => undefined);
    return { verdict, over, underWay: 0, nextAtMs: Infinity };
  }

  /** Resolves when the breaker has changed state. Ignored when the round is over. */
  async #decide(round: ProbeRound, tell: () => void): Promise<void> {
    if (this.#round !== round) return;
    this.#round = undefined;
    tell();
    await round.over;
  }

  #counts(error: unknown): boolean {
    if (!(error instanceof ProviderError)) return error instanceof InconclusiveProbe;
    if (!error.countsAsFailure) return false;
    this.#lastFailure = {
      at: new Date(),
      code: error.code,
      status: error.upstreamStatus,
      connection: connectionFailure(error)?.kind,
    };
    return true;
  }

  /** Counts a stream that has ended well. Ignored if the breaker has opened meanwhile. */
  noteSuccess(): void {
    if (this.isClosed) void this.#policy.execute(() => undefined);
  }

  /** Counts the failure of a call that was not run here; resolves when it is counted. As `noteSuccess`, only while closed. */
  async noteFailure(error: unknown): Promise<void> {
    if (this.isClosed) await this.#policy.execute(() => Promise.reject(error)).catch(() => undefined);
  }

  snapshot(): BreakerSnapshot {
    const { state } = this;
    const isClosed = state === 'closed';
    return {
      provider: this.provider,
      model: this.model,
      state,
      failures: this.#failures.state,
      openedAt: isClosed ? undefined : this.#openedAt,
      nextAttemptAt: state === 'open' ? new Date(Date.now() + this.#recovery.dueInMs) : undefined,
      lastFailure: this.#lastFailure,
    };
  }
}

/** When the probe under way may have come to a result. */
const PROBE_PATIENCE_MS = 1000;

/** cockatiel takes an error that does not count for a success; after a probe that was given up that would be a guess. */
function tellsNothing(error: unknown): boolean {
  if (!(error instanceof ProviderError)) return true;
  return error.code === 'request_timeout' && !error.countsAsFailure; // it had hardly any time
}
