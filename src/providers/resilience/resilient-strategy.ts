import {
  abortReason,
  type CallPlacement,
  type ProviderAnswer,
  type ProviderCall,
  ProviderError,
  type ProviderStrategy,
  type ProviderStream,
} from '@app/contracts';
import {
  bulkhead,
  type BulkheadPolicy,
  BulkheadRejectedError,
  ConstantBackoff,
  handleType,
  retry,
  type RetryPolicy,
} from 'cockatiel';
import { Deadlines } from '../../timing/deadlines.js';
import type { BreakerRegistry } from './breaker-registry.service.js';
import { CallGuard } from './call-guard.js';
import type { Cooldowns } from './cooldowns.service.js';
import { concealSecrets } from './conceal-secrets.js';
import { GuardedEvents, type StreamFailure, type StreamHooks } from './guarded-events.js';
import { RepeatPolicy, type RepeatSettings } from './repeat-policy.js';
import {
  bulkheadFull,
  emptyStream,
  firstChunkTimeout,
  requestTimeout,
  streamIdleTimeout,
  unreadOr,
} from './resilience-errors.js';
import type { Clock } from './resilience.js';
import { RetryBudget } from './retry-budget.js';
import type { TargetBreaker } from './target-breaker.js';

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
interface SharedResilience {
  readonly breakers: BreakerRegistry;
  readonly cooldowns: Cooldowns;
  readonly now: Clock;
  readonly random: () => number;
}

/** A provider that gets less than this share of the time a call may take is not blamed for being late. */
const CRAMPED_SHARE = 0.5;

/** Thrown inside the retry policy, and only there: the one error it repeats. */
class Repeat extends Error {
  constructor(readonly delayMs: number) {
    super('repeat');
  }
}

/** One call, through all its attempts, and its end. */
class CallState extends CallGuard {
  readonly upstreamModel: string;
  attempt = 0;
  /** `performance.now()` at which the call has failed. */
  endsAtMs = Infinity;
  /** Others, or refusals, have used up the request's time: this provider is not to blame for being late. */
  isCramped = false;
  /** The limit is the provider's own: the request has time for another one. */
  isOwnLimit = false;
  delayMs = 0;
  /** When the current attempt began, by the wall clock and by ours. */
  startedAtMs = 0;
  startedMs = 0;
  /** Is told how a stream ends. */
  breaker: TargetBreaker | undefined = undefined;
  readonly #providerName: string;
  #call: ProviderCall | undefined;
  #freeSlot: (() => void) | undefined = undefined;

  constructor(given: ProviderCall, providerName: string) {
    super(given.signal);
    this.upstreamModel = given.upstreamModel;
    this.#providerName = providerName;
    this.#call = {
      request: given.request,
      upstreamModel: given.upstreamModel,
      clientModel: given.clientModel,
      maxOutputTokens: given.maxOutputTokens,
      requestId: given.requestId,
      traceparent: given.traceparent,
      signal: this,
      dropUnsupported: given.dropUnsupported,
      placement: given.placement,
    };
  }

  /** The strategy's: its signal is this guard. */
  get call(): ProviderCall {
    if (!this.#call) throw new Error('what was delivered is not asked for again');
    return this.#call;
  }

  get placement(): CallPlacement | undefined {
    return this.#call?.placement;
  }

  /** The caller has the answer: nothing is repeated any more. */
  get isDelivered(): boolean {
    return this.#call === undefined;
  }

  /** A stream may last long: the request, and all that it refers to, is not kept here for it. */
  noteDelivered(): void {
    this.#call = undefined;
  }

  /** For the bulkhead: resolves when `leave` is called. */
  stay(): Promise<void> {
    return new Promise((resolve) => (this.#freeSlot = resolve));
  }

  get hasSlot(): boolean {
    return this.#freeSlot !== undefined;
  }

  leave(): void {
    this.end();
    this.#freeSlot?.();
  }

  protected override lateReason(): ProviderError {
    return requestTimeout(this.#providerName, this.isDelivered || this.isCramped, this.isOwnLimit);
  }
}

interface BegunStream {
  readonly stream: ProviderStream;
  readonly events: GuardedEvents<CallState>;
}

/** A function of its own, as it lasts as long as the stream: its closure must not hold what only the beginning needs. */
function stayOf(state: CallState): () => Promise<void> {
  return () => state.stay();
}

/**
 * A strategy that fails fast, in time, and not together with everybody else: bulkhead(retry(breaker(limits(call)))).
 *
 * A policy ends when its promise does, but a stream is not over when it has begun. So the bulkhead waits for a promise of
 * its own, which resolves after the last event, and only then does the breaker learn how the stream has ended. Nothing else
 * of the policies lasts as long as the stream: a promise in each of them, with all that it refers to, took two kilobytes.
 */
export class ResilientStrategy implements ProviderStrategy {
  readonly providerName: string;
  readonly cancelStopsBilling: boolean;
  readonly probe?: (signal: AbortSignal) => Promise<void>;
  readonly #bulkhead: BulkheadPolicy;
  readonly #retry: RetryPolicy;
  readonly #streamHooks: StreamHooks<CallState>;
  readonly #wholeLimits = new Deadlines();
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
    this.#streamHooks = {
      idleMs: settings.streamIdleMs,
      idleLimits: new Deadlines(),
      onIdle: () => streamIdleTimeout(this.providerName, settings.streamIdleMs),
      onUnread: (reason) => unreadOr(reason, this.providerName),
      onFailure: (error) => concealSecrets(error, settings.secrets),
      onOver: (state, failure) => this.#over(state, failure),
    };
    this.#bulkhead = bulkhead(settings.maxConcurrentCalls);
    this.#retry = retry(handleType(Repeat), {
      maxAttempts: settings.repeat.maxAttempts,
      backoff: new ConstantBackoff(0),
    });
  }

  complete(call: ProviderCall): Promise<ProviderAnswer> {
    const state = this.#open(call);
    const begin = (): Promise<ProviderAnswer> => state.race(this.inner.complete(state.call));
    return this.#bulkhead
      .execute(() => this.#withRepeats(state, begin, false))
      .then(
        (answer) => {
          state.end();
          return answer;
        },
        (error: unknown) => {
          state.end();
          throw this.#shown(error);
        },
      );
  }

  /** Resolves with the first event; after a failure before it the call is repeated, or the caller may try elsewhere. */
  async stream(call: ProviderCall): Promise<ProviderStream> {
    const state = this.#open(call);
    const slot = this.#bulkhead.execute(stayOf(state));
    try {
      // A full bulkhead rejects at once; inside it, the promise resolves only at the end of the stream.
      if (!state.hasSlot) await slot;
      const { stream, events } = await this.#withRepeats(state, () => this.#begin(state), true);
      return { ...stream, events };
    } catch (error) {
      state.leave();
      throw this.#shown(error);
    }
  }

  /** A stream that had begun is over. */
  #over(state: CallState, failure: StreamFailure | undefined): void {
    if (failure) {
      this.#noteLimit(state, failure.error);
      void state.breaker?.noteFailure(failure.error);
    } else state.breaker?.noteSuccess();
    state.leave();
  }

  #shown(error: unknown): unknown {
    return error instanceof BulkheadRejectedError ? bulkheadFull(this.providerName) : error;
  }

  #open(call: ProviderCall): CallState {
    const state = new CallState(call, this.providerName);
    const timeLeftMs = this.#timeLeftMs(call);
    state.endsAtMs = this.shared.now() + timeLeftMs;
    state.isCramped = this.#isCramped(timeLeftMs);
    state.isOwnLimit = timeLeftMs === this.settings.requestMs;
    state.limitWhole(this.#wholeLimits, timeLeftMs);
    return state;
  }

  #isCramped(timeLeftMs: number): boolean {
    return timeLeftMs < this.settings.requestMs * CRAMPED_SHARE;
  }

  #timeLeftMs({ placement }: ProviderCall): number {
    const { requestMs } = this.settings;
    return placement
      ? Math.max(0, Math.min(requestMs, placement.deadlineAtMs - this.shared.now()))
      : requestMs;
  }

  /**
   * Promises are passed on and not awaited, all the way down: an async function in each layer costs ten times as much.
   *
   * @param begin  resolves when the answer has begun; a whole answer is then over, too
   */
  #withRepeats<Result>(state: CallState, begin: () => Promise<Result>, isStream: boolean): Promise<Result> {
    this.#budget.noteCall();
    return this.#retry.execute(() => this.#attempt(state, begin, isStream));
  }

  #attempt<Result>(state: CallState, begin: () => Promise<Result>, isStream: boolean): Promise<Result> {
    const { delayMs } = state;
    if (state.aborted) return Promise.reject(abortReason(state));
    return delayMs > 0
      ? state.sleep(delayMs).then(() => this.#ask(state, begin, isStream))
      : this.#ask(state, begin, isStream);
  }

  #ask<Result>(state: CallState, begin: () => Promise<Result>, isStream: boolean): Promise<Result> {
    state.attempt += 1;
    if (state.attempt > 1) state.placement?.onResume?.();
    state.startedAtMs = Date.now();
    state.startedMs = this.shared.now();
    return this.#throughBreaker(state, begin, isStream).catch((error: unknown) => this.#failed(state, error));
  }

  /** @throws Repeat  when the call is to be made again, else the error */
  #failed(state: CallState, error: unknown): never {
    concealSecrets(error, this.settings.secrets);
    this.#noteLimit(state, error);
    if (this.shared.breakers.refuses(this.providerName, state.upstreamModel)) throw error;
    const { placement, endsAtMs } = state;
    const delayMs = this.#repeat.delayMs(error, state.attempt, endsAtMs, placement);
    if (delayMs === undefined || !(error instanceof ProviderError)) throw error;
    const nowMs = this.shared.now();
    placement?.onRepeat({
      error,
      startedAt: new Date(state.startedAtMs),
      durationMs: nowMs - state.startedMs,
    });
    state.delayMs = delayMs;
    state.isCramped = this.#isCramped(endsAtMs - nowMs - delayMs);
    throw new Repeat(delayMs);
  }

  #noteLimit({ upstreamModel, startedMs }: CallState, error: unknown): void {
    if (!(error instanceof ProviderError) || error.code !== 'provider_rate_limited') return;
    this.shared.cooldowns.note(this.providerName, upstreamModel, error.retryAfterMs, startedMs);
  }

  /** The breaker does not run streams, as their end is what counts; for a probe it is the beginning. */
  #throughBreaker<Result>(
    state: CallState,
    begin: () => Promise<Result>,
    isStream: boolean,
  ): Promise<Result> {
    const breaker = this.shared.breakers.find(this.providerName, state.upstreamModel);
    if (!breaker) return begunBy(begin);
    if (isStream) state.breaker = breaker;
    if (!breaker.isClosed) return breaker.probe(begin);
    return isStream ? begunBy(begin).catch((error) => failedBy(breaker, error)) : breaker.run(begin);
  }

  async #begin(state: CallState): Promise<BegunStream> {
    const { firstChunkMs } = this.settings;
    state.limitStage(firstChunkMs, () => firstChunkTimeout(this.providerName, firstChunkMs));
    try {
      const stream = await this.#openStream(state);
      const events = await this.#firstOf(stream, state);
      state.noteDelivered();
      return { stream, events };
    } finally {
      state.endStage();
    }
  }

  async #firstOf(stream: ProviderStream, state: CallState): Promise<GuardedEvents<CallState>> {
    const source = stream.events[Symbol.asyncIterator]();
    try {
      const first = await state.race(source.next());
      if (first.done) throw emptyStream(this.providerName);
      return new GuardedEvents(source, state, first.value, this.#streamHooks);
    } catch (error) {
      close(source);
      throw error;
    }
  }

  /** A stream that arrives when nobody waits for it any more is closed. */
  async #openStream(state: CallState): Promise<ProviderStream> {
    const opening = this.inner.stream(state.call);
    try {
      return await state.race(opening);
    } catch (error) {
      void opening.then(
        (late) => close(late.events[Symbol.asyncIterator]()),
        () => undefined,
      );
      throw error;
    }
  }
}

/** Turns what a strategy throws synchronously into a rejection. */
async function begunBy<Result>(work: () => Promise<Result>): Promise<Result> {
  return work();
}

/** @throws the same error, once it is counted: what is decided next depends on that */
async function failedBy(breaker: TargetBreaker, error: unknown): Promise<never> {
  await breaker.noteFailure(error);
  throw error;
}

function close(source: AsyncIterator<unknown>): void {
  source.return?.().catch(() => undefined);
}
