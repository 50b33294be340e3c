import { describeError } from '../telemetry/describe-error.js';
import type { ComponentHealth, HealthProbe } from './health-probe.js';

const CHECK_TIMEOUT_MS = 1_000;
/** A probe is told to come to an end a little earlier, so that it can still say what it knows. */
const ABORT_AFTER_MS = 900;
const DEFAULT_CACHE_MS = 1_000;

/**
 * A probe as the routes ask it: never throws, answers within a second whatever the component does, asks it at most once
 * in the probe's `cacheMs`, and never anew while an earlier question is still unanswered.
 */
export class CachedProbe {
  #latest: ComponentHealth | undefined;
  #latestAtMs = Number.NEGATIVE_INFINITY;
  #asking: Promise<ComponentHealth> | undefined;
  /** The question a frozen component has not answered yet. */
  #pending: Promise<ComponentHealth> | undefined;

  constructor(readonly probe: HealthProbe) {}

  check(): Promise<ComponentHealth> {
    const isFresh = performance.now() - this.#latestAtMs < (this.probe.cacheMs ?? DEFAULT_CACHE_MS);
    if (this.#latest && isFresh) return Promise.resolve(this.#latest);
    this.#asking ??= this.#ask().finally(() => (this.#asking = undefined));
    return this.#asking;
  }

  async #ask(): Promise<ComponentHealth> {
    this.#latest = await this.#bounded();
    this.#latestAtMs = performance.now();
    return this.#latest;
  }

  async #bounded(): Promise<ComponentHealth> {
    if (this.#pending && this.#latest) return this.#latest; // it still owes the last answer
    const startedMs = performance.now();
    const abort = new AbortController();
    const timers = [setTimeout(() => abort.abort(), ABORT_AFTER_MS)];
    const timeout = new Promise<never>((_resolve, reject) => {
      timers.push(setTimeout(() => reject(new TimedOut()), CHECK_TIMEOUT_MS));
    });
    try {
      return await Promise.race([this.#question(abort.signal), timeout]);
    } catch (error) {
      return { status: 'down', latencyMs: performance.now() - startedMs, details: { error: reason(error) } };
    } finally {
      for (const timer of timers) clearTimeout(timer);
    }
  }

  #question(signal: AbortSignal): Promise<ComponentHealth> {
    this.#pending ??= this.probe.check(signal).finally(() => (this.#pending = undefined));
    return this.#pending;
  }
}

class TimedOut extends Error {}

/** The code where there is one: messages of drivers name hosts and users. */
function reason(error: unknown): string {
  if (error instanceof TimedOut) return `no answer within ${CHECK_TIMEOUT_MS} ms`;
  const { code, type } = describeError(error);
  return code === undefined ? type : String(code);
}
