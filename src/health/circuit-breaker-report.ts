import { Injectable } from '@nestjs/common';

/** One breaker: of a provider, or of a model at a provider. */
export interface BreakerView {
  readonly state: 'closed' | 'open' | 'half_open';
  /** Failures in a row, as the breaker counts them. */
  readonly failures: number;
  readonly opened_at: string | null;
  /** When an open breaker lets the next call through. */
  readonly next_attempt_at: string | null;
}

export interface ProviderBreakerView extends BreakerView {
  readonly models: Readonly<Record<string, BreakerView>>;
}

/** What `/health/circuit-breakers` shows, by provider. */
@Injectable()
export class CircuitBreakerReport {
  current(): Record<string, ProviderBreakerView> {
    return {};
  }
}
