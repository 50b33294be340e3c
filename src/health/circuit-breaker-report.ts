import { Injectable } from '@nestjs/common';
import type { BreakerRegistry } from '../providers/resilience/breaker-registry.service.js';
import type { BreakerSnapshot, BreakerState } from '../providers/resilience/target-breaker.js';

/** One breaker: of a provider, or of a model at a provider. */
export interface BreakerView {
  readonly state: BreakerState;
  /** Failures in a row. */
  readonly failures: number;
  readonly opened_at: string | null;
  /** When an open breaker lets the next call through. */
  readonly next_attempt_at: string | null;
  /** The newest that counted, also when calls have succeeded since. */
  readonly last_failure: {
    readonly at: string;
    readonly code: string;
    /** The provider's HTTP status; `null` when it gave none. */
    readonly status: number | null;
    /** What was wrong below HTTP: `refused`, `dns`, `tls`, …; `null` when nothing was. */
    readonly connection: string | null;
  } | null;
}

export interface ProviderBreakerView extends BreakerView {
  readonly models: Readonly<Record<string, BreakerView>>;
}

const BADNESS = { closed: 0, half_open: 1, open: 2 } as const satisfies Record<BreakerState, number>;

/** What `/health/circuit-breakers` shows: breakers are per model, a provider is as its worst one. */
@Injectable()
export class CircuitBreakerReport {
  #breakers: Pick<BreakerRegistry, 'snapshot'> = { snapshot: () => [] };
  #providers: () => readonly string[] = () => [];

  /** @param providers  names to show even when they were never called */
  readFrom(breakers: Pick<BreakerRegistry, 'snapshot'>, providers: () => readonly string[]): void {
    this.#breakers = breakers;
    this.#providers = providers;
  }

  of(provider: string): BreakerSnapshot[] {
    return this.#breakers.snapshot().filter((breaker) => breaker.provider === provider);
  }

  current(): Record<string, ProviderBreakerView> {
    const snapshots = this.#breakers.snapshot();
    const names = new Set([...this.#providers(), ...snapshots.map(({ provider }) => provider)]);
    return Object.fromEntries(
      [...names]
        .sort()
        .map((name) => [name, providerView(snapshots.filter(({ provider }) => provider === name))]),
    );
  }
}

export function worstState(breakers: readonly BreakerSnapshot[]): BreakerState {
  return worst(breakers)?.state ?? 'closed';
}

function worst(breakers: readonly BreakerSnapshot[]): BreakerSnapshot | undefined {
  return breakers.toSorted(
    (left, right) => BADNESS[right.state] - BADNESS[left.state] || right.failures - left.failures,
  )[0];
}

function providerView(breakers: readonly BreakerSnapshot[]): ProviderBreakerView {
  return {
    ...view(worst(breakers)),
    models: Object.fromEntries(breakers.map((breaker) => [breaker.model, view(breaker)])),
  };
}

function view(breaker: BreakerSnapshot | undefined): BreakerView {
  return {
    state: breaker?.state ?? 'closed',
    failures: breaker?.failures ?? 0,
    opened_at: breaker?.openedAt?.toISOString() ?? null,
    next_attempt_at: breaker?.nextAttemptAt?.toISOString() ?? null,
    last_failure: lastFailure(breaker),
  };
}

function lastFailure(breaker: BreakerSnapshot | undefined): BreakerView['last_failure'] {
  if (!breaker?.lastFailure) return null;
  const { at, code, status = null, connection = null } = breaker.lastFailure;
  return { at: at.toISOString(), code, status, connection };
}
