import { Inject, Injectable } from '@nestjs/common';
import { APP_CONFIG, type AppConfig } from '../../config/app-config.js';
import { Telemetry } from '../../telemetry/telemetry.js';
import { type Clock, monotonicClock } from './resilience.js';
import { type BreakerSnapshot, TargetBreaker } from './target-breaker.js';
import { targetKey } from './target-key.js';

/** A wildcard model can have any number of names; the oldest closed breakers are forgotten first. */
const MAX_BREAKERS = 1000;

/** All breakers of this process, one per provider and upstream model, made on the first call. */
@Injectable()
export class BreakerRegistry {
  readonly #breakers = new Map<string, TargetBreaker>();
  readonly #now: Clock = monotonicClock;

  constructor(
    @Inject(APP_CONFIG) private readonly config: AppConfig,
    private readonly telemetry: Telemetry,
  ) {}

  /** `undefined` with CIRCUIT_BREAKER_ENABLED=false. */
  find(provider: string, model: string): TargetBreaker | undefined {
    if (!this.config.circuitBreaker.enabled) return undefined;
    const key = targetKey(provider, model);
    let breaker = this.#breakers.get(key);
    if (!breaker) {
      if (this.#breakers.size >= MAX_BREAKERS) this.#forgetOne();
      this.#breakers.set(key, (breaker = this.#make(provider, model)));
    }
    return breaker;
  }

  /** True while a call to the target would be refused. Makes no breaker. */
  refuses(provider: string, model: string): boolean {
    return this.#breakers.get(targetKey(provider, model))?.refuses ?? false;
  }

  /** For health pages: targets that were called. */
  snapshot(): BreakerSnapshot[] {
    return [...this.#breakers.values()].map((breaker) => breaker.snapshot());
  }

  /** Forgets targets that nobody can ask for any more; open ones would be reported for ever. */
  retain(isServed: (provider: string, model: string) => boolean): void {
    for (const [key, { provider, model }] of this.#breakers)
      if (!isServed(provider, model)) this.#forget(key);
  }

  #make(provider: string, model: string): TargetBreaker {
    const breaker = new TargetBreaker(provider, model, this.config.circuitBreaker, this.#now, (state) => {
      // Calls that began before it was forgotten may still fail.
      if (this.#breakers.get(targetKey(provider, model)) !== breaker) return;
      const { cause } = breaker;
      const why = state === 'open' && cause !== undefined ? { cause } : {};
      this.telemetry.event({ kind: 'breaker', provider, model, state, ...why });
    });
    return breaker;
  }

  #forgetOne(): void {
    for (const [key, breaker] of this.#breakers) {
      if (breaker.state === 'closed') return this.#forget(key);
    }
    const [oldest] = this.#breakers.keys();
    if (oldest !== undefined) this.#forget(oldest);
  }

  #forget(key: string): void {
    const breaker = this.#breakers.get(key);
    if (!breaker) return;
    this.#breakers.delete(key);
    const { provider, model } = breaker;
    this.telemetry.event({ kind: 'breaker-forgotten', provider, model });
  }
}
