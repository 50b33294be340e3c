import type { ProviderStrategy } from '@app/contracts';

/** Injection token of the `StrategyDecorator` that the provider registry puts around each strategy, once, at boot. */
export const STRATEGY_DECORATOR = Symbol('STRATEGY_DECORATOR');

/** Wraps a strategy in another one with the same port. */
export interface StrategyDecorator {
  decorate(strategy: ProviderStrategy, options?: DecoratorOptions): ProviderStrategy;
}

export interface DecoratorOptions {
  /** The longest one call may take; `undefined` = REQUEST_TIMEOUT_SECONDS. */
  readonly requestMs?: number | undefined;
  /** Texts that no error of this provider may show. */
  readonly secrets?: readonly string[];
}

/** The time of the resilience layer, ms; tests bring their own. */
export type Clock = () => number;
export const monotonicClock: Clock = () => performance.now();
