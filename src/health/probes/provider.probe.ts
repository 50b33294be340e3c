import { GatewayError, type ProviderStrategy } from '@app/contracts';
import type { BreakerSnapshot } from '../../providers/resilience/target-breaker.js';
import { worstState } from '../circuit-breaker-report.js';
import type { ComponentHealth, ComponentStatus, HealthProbe } from '../health-probe.js';

/** Asking costs no tokens, but it is somebody else's server. */
const ASK_EVERY_MS = 30_000;

type Ask = NonNullable<ProviderStrategy['probe']>;

interface Answer {
  readonly atMs: number;
  readonly latencyMs: number;
  readonly error: string | undefined;
}

/** A provider, by its circuit breakers and, when somebody looks, by asking it something free. */
export class ProviderProbe implements HealthProbe {
  readonly group = 'providers';
  readonly critical = false;
  /** What costs something is remembered here; the breakers' states are always the present ones. */
  readonly cacheMs = 0;
  #answer: Answer | undefined;

  constructor(
    readonly name: string,
    /** `undefined` = the provider has nothing that could be asked for free. */
    private readonly ask: () => Ask | undefined,
    private readonly breakers: () => readonly BreakerSnapshot[],
  ) {}

  async check(signal: AbortSignal): Promise<ComponentHealth> {
    const breakers = this.breakers();
    if (worstState(breakers) !== 'open' && this.#isOld()) await this.#askNow(signal);
    return this.#judge(breakers);
  }

  glance(): ComponentHealth | undefined {
    const breakers = this.breakers();
    return this.#answer || breakers.length > 0 ? this.#judge(breakers) : undefined;
  }

  async #askNow(signal: AbortSignal): Promise<void> {
    const ask = this.ask();
    if (!ask) return;
    const startedMs = performance.now();
    const error = await ask(signal).then(() => undefined, codeOf);
    this.#answer = { atMs: performance.now(), latencyMs: performance.now() - startedMs, error };
  }

  #isOld(): boolean {
    return !this.#answer || performance.now() - this.#answer.atMs > ASK_EVERY_MS;
  }

  #judge(breakers: readonly BreakerSnapshot[]): ComponentHealth {
    const circuit = worstState(breakers);
    return {
      status: statusOf(breakers, this.#answer?.error),
      latencyMs: this.#answer?.latencyMs ?? 0,
      details: {
        circuit,
        asked: this.#answer !== undefined,
        ...(this.#answer?.error !== undefined && { error: this.#answer.error }),
      },
    };
  }
}

/** Some models failing is less than all of them. */
function statusOf(breakers: readonly BreakerSnapshot[], error: string | undefined): ComponentStatus {
  if (breakers.length > 0 && breakers.every(({ state }) => state === 'open')) return 'down';
  if (error !== undefined) return 'down';
  return worstState(breakers) === 'closed' ? 'up' : 'degraded';
}

function codeOf(error: unknown): string {
  return error instanceof GatewayError ? error.code : 'unreachable';
}
