import type { ProviderStrategy } from '@app/contracts';

/** Injection token of the `StrategyDecorator` that the provider registry puts around each strategy, once, at boot. */
export const STRATEGY_DECORATOR = Symbol('STRATEGY_DECORATOR');

/** Gives a strategy back as another one with the same port. */
export interface StrategyDecorator {
  /** @param requestMs  the longest one call may take; `undefined` = REQUEST_TIMEOUT_SECONDS */
  decorate(strategy: ProviderStrategy, requestMs?: number): ProviderStrategy;
}

/** Where the resilience layer reads the time, ms; tests give their own. */
export type Clock = () => number;
export const monotonicClock: Clock = () => performance.now();
