import {
  type ProviderAnswer,
  type ProviderCall,
  ProviderError,
  type ProviderStrategy,
  type ProviderStream,
} from '@app/contracts';
import {
  bulkhead,
  BulkheadRejectedError,
  ConstantBackoff,
  handleType,
  type IPolicy,
  retry,
  wrap,
} from 'cockatiel';
import type { BreakerRegistry } from './breaker-registry.service.js';
import { abortReason, CallGuard } from './call-guard.js';
import type { Cooldowns } from './cooldowns.service.js';
import { concealSecrets } from './conceal-secrets.js';
import { GuardedEvents } from './guarded-events.js';
import { RepeatPolicy, type RepeatSettings } from './repeat-policy.js';
import {
  bulkheadFull,
  emptyStream,
  firstChunkTimeout,
  requestTimeout,
  streamIdleTimeout,
} from './resilience-errors.js';
import type { Clock } from './resilience.js';
import { RetryBudget } from './retry-budget.js';

export interface ResilienceSettings {
  readonly maxConcurrentCalls: number;
  readonly repeat: RepeatSettings;
  readonly firstChunkMs: number;
  readonly streamIdleMs: number;
  readonly requestMs: number;
  /** Texts that no error may show. */
  readonly secrets: readonly string[];
}

/** What the providers of a process share. */
export interface SharedResilience {
  readonly breakers: BreakerRegistry;
  readonly cooldowns: Cooldowns;
  readonly now: Clock;
  readonly random: () => number;
}

/** Thrown inside the retry policy, and only there: the one error it repeats. */
class Repeat extends Error {
  constructor(readonly delayMs: number) {
    super('repeat');
  }
}

/** One call, through all its attempts. */
interface CallState {
  readonly call: ProviderCall;
  readonly guard: CallGuard;
  attempt: number;
  delayMs: number;
  /** The answer is in the caller's hands: what fails now is not repeated. */
  isDelivered: boolean;
}

/** A call that has answered. `ended`: the rest of a stream; nobody needs to look at it for the slot to be held. */
interface Begun {
  readonly ended: Promise<void>;
}

type Work = (call: ProviderCall, state: CallState) => Promise<Begun>;

const ENDED: Begun = { ended: Promise.resolve() };

/**
 * A strategy that fails fast, in time, and not together with everybody else: bulkhead(retry(breaker(limits(call)))).
 *
 * A policy ends when its promise does, and a stream is not over when it has begun. So the policies run around the
 * whole life of a stream: its slot is held, and its failures count, until the last event; the caller gets the stream
 * as soon as the first event is there, by another promise.
 */
export class ResilientStrategy implements ProviderStrategy {
  readonly providerName: string;
  readonly cancelStopsBilling: boolean;
  readonly probe?: (signal: AbortSignal) => Promise<void>;
  readonly #policy: IPolicy;
  readonly #budget: RetryBudget;
  readonly #repeat: RepeatPolicy;

  constructor(
    private readonly inner: ProviderStrategy,
    private readonly settings: ResilienceSettings,
    private readonly shared: SharedResilience,
  ) {
    this.providerName = inner.providerName;
    this.cancelStopsBilling = inner.cancelStopsBilling;
    if (inner.probe) this.probe = (signal) => inner.probe!(signal);
    this.#budget = new RetryBudget(shared.now);
    this.#repeat = new RepeatPolicy(settings.repeat, this.#budget, shared.now, shared.random);
    this.#policy = wrap(
      bulkhead(settings.maxConcurrentCalls),
      retry(handleType(Repeat), {
        maxAttempts: settings.repeat.maxAttempts,
        backoff: new ConstantBackoff(0),
      }),
    );
  }

  async complete(call: ProviderCall): Promise<ProviderAnswer> {
    let answer: ProviderAnswer | undefined;
    await this.#run(call, async (attempt, { guard }) => {
      answer = await guard.race(this.inner.complete(attempt));
      return ENDED;
    });
    return answer!;
  }

  /** Resolves when the first event is there; a failure before it is repeated, or the caller's to try elsewhere. */
  stream(call: ProviderCall): Promise<ProviderStream> {
    return new Promise((resolve, reject) => {
      this.#run(call, async (attempt, state) => {
        const { stream, events } = await this.#begin(attempt, state);
        state.isDelivered = true;
        resolve({ ...stream, events });
        return events;
      }).catch(reject);
    });
  }

  async #run(call: ProviderCall, work: Work): Promise<void> {
    const guard = new CallGuard(call.signal);
    const state: CallState = { call, guard, attempt: 0, delayMs: 0, isDelivered: false };
    guard.limit(this.#timeLeftMs(call), () => requestTimeout(this.providerName, state.isDelivered));
    this.#budget.noteCall();
    try {
      await this.#policy.execute(() => this.#attempt(state, work));
    } catch (error) {
      throw error instanceof BulkheadRejectedError ? bulkheadFull(this.providerName) : error;
    } finally {
      guard.end();
    }
  }

  #timeLeftMs({ placement }: ProviderCall): number {
    const { requestMs } = this.settings;
    return placement
      ? Math.max(0, Math.min(requestMs, placement.deadlineAtMs - this.shared.now()))
      : requestMs;
  }

  async #attempt(state: CallState, work: Work): Promise<void> {
    const { guard, call } = state;
    if (guard.signal.aborted) throw abortReason(guard.signal);
    if (state.delayMs > 0) await guard.sleep(state.delayMs);
    state.attempt += 1;
    const startedAt = new Date();
    const startedMs = this.shared.now();
    try {
      await this.#throughBreaker(state, work);
    } catch (error) {
      concealSecrets(error, this.settings.secrets);
      if (error instanceof ProviderError && error.code === 'provider_rate_limited') {
        this.shared.cooldowns.note(this.providerName, call.upstreamModel, error.retryAfterMs);
      }
      const isOpenNow = this.shared.breakers.refuses(this.providerName, call.upstreamModel);
      if (state.isDelivered || isOpenNow) throw error;
      const delayMs = this.#repeat.delayMs(error, state.attempt, call.placement);
      if (delayMs === undefined || !(error instanceof ProviderError)) throw error;
      call.placement?.onRepeat({ error, startedAt, durationMs: this.shared.now() - startedMs });
      state.delayMs = delayMs;
      throw new Repeat(delayMs);
    }
  }

  async #throughBreaker(state: CallState, work: Work): Promise<void> {
    const breaker = this.shared.breakers.find(this.providerName, state.call.upstreamModel);
    const call = { ...state.call, signal: state.guard.signal };
    if (!breaker) {
      await (
        await work(call, state)
      ).ended;
      return;
    }
    let begun = ENDED;
    await breaker.run(async (isProbe) => {
      begun = await work(call, state);
      // A probe has told what it can as soon as the answer has begun; of any other call the end counts.
      if (!isProbe) await begun.ended;
    });
    await begun.ended.catch((error: unknown) => {
      breaker.noteFailure(error);
      throw error;
    });
  }

  async #begin(
    call: ProviderCall,
    { guard }: CallState,
  ): Promise<{ stream: ProviderStream; events: GuardedEvents }> {
    const { firstChunkMs, streamIdleMs } = this.settings;
    const lift = guard.limit(firstChunkMs, () => firstChunkTimeout(this.providerName, firstChunkMs));
    const stream = await this.#open(call, guard);
    const source = stream.events[Symbol.asyncIterator]();
    try {
      const first = await guard.race(source.next());
      if (first.done) throw emptyStream(this.providerName);
      const onIdle = (): ProviderError => streamIdleTimeout(this.providerName, streamIdleMs);
      const onFailure = (error: unknown): void => concealSecrets(error, this.settings.secrets);
      const hooks = { idleMs: streamIdleMs, onIdle, onFailure };
      return { stream, events: new GuardedEvents(source, guard, first.value, hooks) };
    } catch (error) {
      close(source);
      throw error;
    } finally {
      lift();
    }
  }

  /** A stream that arrives after everybody has gone is closed. */
  async #open(call: ProviderCall, guard: CallGuard): Promise<ProviderStream> {
    const opening = this.inner.stream(call);
    try {
      return await guard.race(opening);
    } catch (error) {
      void opening.then(
        (late) => close(late.events[Symbol.asyncIterator]()),
        () => undefined,
      );
      throw error;
    }
  }
}

function close(source: AsyncIterator<unknown>): void {
  source.return?.().catch(() => undefined);
}
