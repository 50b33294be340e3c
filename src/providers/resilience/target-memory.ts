import { monotonicClock } from './resilience.js';
import { targetKey } from './target-key.js';

const MAX_TARGETS = 1000;

/** What calls have shown about their targets, until the provider changes. */
export class TargetMemory<Value> {
  readonly #values = new Map<string, Value>();
  /** Of providers that have changed: earlier calls say nothing about them. */
  readonly #renewedAtMs = new Map<string, number>();

  get isEmpty(): boolean {
    return this.#values.size === 0;
  }

  get(provider: string, model: string): Value | undefined {
    return this.#values.get(targetKey(provider, model));
  }

  set(provider: string, model: string, value: Value): void {
    if (this.#values.size >= MAX_TARGETS) this.#values.clear();
    this.#values.set(targetKey(provider, model), value);
  }

  delete(provider: string, model: string): void {
    this.#values.delete(targetKey(provider, model));
  }

  /** @param askedAtMs  when the call began, by the monotonic clock */
  isOutdated(provider: string, askedAtMs: number): boolean {
    return this.#renewedAtMs.size > 0 && askedAtMs < (this.#renewedAtMs.get(provider) ?? -Infinity);
  }

  renew(provider: string): void {
    this.#renewedAtMs.set(provider, monotonicClock());
    const beginning = targetKey(provider, '');
    for (const key of this.#values.keys()) if (key.startsWith(beginning)) this.#values.delete(key);
  }
}
