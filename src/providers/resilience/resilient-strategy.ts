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
import type { BreakerRegistry } from './breaker-registry.service.js';
import { CallGuard } from './call-guard.js';
import type { Cooldowns } from './cooldowns.service.js';
import { concealSecrets } from './conceal-secrets.js';
import { GuardedEvents, type StreamHooks } from './guarded-events.js';
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
class CallState {
  readonly upstreamModel: string;
  attempt = 0;
  delayMs = 0;
  /** The attempt under way began, by the wall clock and by ours. */
  startedAtMs = 0;
  startedMs = 0;
  /** The answer is in the caller's hands: what fails now is not repeated. */
  isDelivered = false;
  #call: ProviderCall | undefined;

  constructor(
    given: ProviderCall,
    readonly guard: CallGuard,
  ) {
    this.upstreamModel = given.upstreamModel;
    this.#call = {
      request: given.request,
      upstreamModel: given.upstreamModel,
      clientModel: given.clientModel,
      maxOutputTokens: given.maxOutputTokens,
      requestId: given.requestId,
      traceparent: given.traceparent,
      signal: guard.signal,
      dropUnsupported: given.dropUnsupported,
      placement: given.placement,
    };
  }

  /** As the strategy gets it: the guard ends it. */
  get call(): ProviderCall {
    if (!this.#call) throw new Error('what was delivered is not asked for again');
    return this.#call;
  }

  get placement(): CallPlacement | undefined {
    return this.#call?.placement;
  }

  /** A stream may go on for long: the request and all that hangs on it is not kept for it here. */
  noteDelivered(): void {
    this.isDelivered = true;
    this.#call = undefined;
  }
}

/** What is done under the policies. */
interface Work<Result> {
  /** Resolves when the answer has begun. A whole one is over then, too. */
  readonly begin: () => Promise<Result>;
  /** When nothing more can come of a stream, or what broke it. */
  readonly rest?: (begun: Result) => Promise<void>;
}

interface BegunStream {
  readonly stream: ProviderStream;
  readonly events: GuardedEvents;
}

const restOfStream = ({ events }: BegunStream): Promise<void> => events.ended;

/**
 * A strategy that fails fast, in time, and not together with everybody else: bulkhead(retry(breaker(limits(call)))).
 *
 * A policy ends when its promise does, and a stream is not over when it has begun. So bulkhead and breaker run around
 * the whole life of a stream: its slot is held, and its failures count, until the last event; the caller gets the stream
 * as soon as the first event is there, by another promise.
 */
export class ResilientStrategy implements ProviderStrategy {
  readonly providerName: string;
  readonly cancelStopsBilling: boolean;
  readonly probe?: (signal: AbortSignal) => Promise<void>;
  readonly #bulkhead: BulkheadPolicy;
  readonly #retry: RetryPolicy;
  readonly #streamHooks: StreamHooks;
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
      onIdle: () => streamIdleTimeout(this.providerName, settings.streamIdleMs),
      onFailure: (error) => concealSecrets(error, settings.secrets),
    };
    this.#bulkhead = bulkhead(settings.maxConcurrentCalls);
    this.#retry = retry(handleType(Repeat), {
      maxAttempts: settings.repeat.maxAttempts,
      backoff: new ConstantBackoff(0),
    });
  }

  complete(call: ProviderCall): Promise<ProviderAnswer> {
    const state = this.#open(call);
    const begin = (): Promise<ProviderAnswer> => state.guard.race(this.inner.complete(state.call));
    return this.#bulkhead
      .execute(() => this.#withRepeats(state, { begin }))
      .then(
        (answer) => {
          state.guard.end();
          return answer;
        },
        (error: unknown) => {
          state.guard.end();
          throw this.#shown(error);
        },
      );
  }

  /** Resolves when the first event is there; a failure before it is repeated, or the caller's to try elsewhere. */
  stream(call: ProviderCall): Promise<ProviderStream> {
    return new Promise((resolve, reject) => this.#stream(this.#open(call), resolve, reject));
  }

  /** The slot is held until the stream has ended; what was only there to begin it is let go of before. */
  #stream(
    state: CallState,
    resolve: (stream: ProviderStream) => void,
    reject: (reason: unknown) => void,
  ): void {
    const work: Work<BegunStream> = { begin: () => this.#begin(state), rest: restOfStream };
    this.#bulkhead
      .execute(() =>
        this.#withRepeats(state, work).then((begun) => {
          resolve({ ...begun.stream, events: begun.events });
          return begun.events.ended;
        }),
      )
      .then(
        () => state.guard.end(),
        (error: unknown) => {
          state.guard.end();
          if (state.isDelivered) this.#noteLimit(state, error);
          reject(this.#shown(error));
        },
      );
  }

  #shown(error: unknown): unknown {
    return error instanceof BulkheadRejectedError ? bulkheadFull(this.providerName) : error;
  }

  #open(call: ProviderCall): CallState {
    const state = new CallState(call, new CallGuard(call.signal));
    state.guard.limitWhole(this.#timeLeftMs(call), () =>
      requestTimeout(this.providerName, state.isDelivered),
    );
    return state;
  }

  #timeLeftMs({ placement }: ProviderCall): number {
    const { requestMs } = this.settings;
    return placement
      ? Math.max(0, Math.min(requestMs, placement.deadlineAtMs - this.shared.now()))
      : requestMs;
  }

  /** Promises are handed on and not awaited, all the way down: an async function in each layer costs ten times as much. */
  #withRepeats<Result>(state: CallState, work: Work<Result>): Promise<Result> {
    this.#budget.noteCall();
    return this.#retry.execute(() => this.#attempt(state, work));
  }

  #attempt<Result>(state: CallState, work: Work<Result>): Promise<Result> {
    const { guard, delayMs } = state;
    if (guard.aborted) return Promise.reject(abortReason(guard));
    return delayMs > 0 ? guard.sleep(delayMs).then(() => this.#ask(state, work)) : this.#ask(state, work);
  }

  #ask<Result>(state: CallState, work: Work<Result>): Promise<Result> {
    state.attempt += 1;
    state.startedAtMs = Date.now();
    state.startedMs = this.shared.now();
    return this.#throughBreaker(state, work).catch((error: unknown) => this.#failed(state, error));
  }

  /** @throws Repeat  when the call is to be made again, else the error */
  #failed(state: CallState, error: unknown): never {
    concealSecrets(error, this.settings.secrets);
    this.#noteLimit(state, error);
    if (this.shared.breakers.refuses(this.providerName, state.upstreamModel)) throw error;
    const { placement } = state;
    const delayMs = this.#repeat.delayMs(error, state.attempt, placement);
    if (delayMs === undefined || !(error instanceof ProviderError)) throw error;
    placement?.onRepeat({
      error,
      startedAt: new Date(state.startedAtMs),
      durationMs: this.shared.now() - state.startedMs,
    });
    state.delayMs = delayMs;
    throw new Repeat(delayMs);
  }

  #noteLimit({ upstreamModel }: CallState, error: unknown): void {
    if (!(error instanceof ProviderError) || error.code !== 'provider_rate_limited') return;
    this.shared.cooldowns.note(this.providerName, upstreamModel, error.retryAfterMs);
  }

  #throughBreaker<Result>(state: CallState, { begin, rest }: Work<Result>): Promise<Result> {
    const breaker = this.shared.breakers.find(this.providerName, state.upstreamModel);
    if (!breaker) return begunBy(begin);
    if (!breaker.isClosed) return probe(breaker, begin, rest);
    return rest ? watchToItsEnd(breaker, begin, rest) : breaker.run(begin);
  }

  async #begin(state: CallState): Promise<BegunStream> {
    const { guard } = state;
    const { firstChunkMs } = this.settings;
    guard.limitStage(firstChunkMs, () => firstChunkTimeout(this.providerName, firstChunkMs));
    try {
      const stream = await this.#openStream(state.call, guard);
      const events = await this.#firstOf(stream, guard);
      state.noteDelivered();
      return { stream, events };
    } finally {
      guard.endStage();
    }
  }

  async #firstOf(stream: ProviderStream, guard: CallGuard): Promise<GuardedEvents> {
    const source = stream.events[Symbol.asyncIterator]();
    try {
      const first = await guard.race(source.next());
      if (first.done) throw emptyStream(this.providerName);
      return new GuardedEvents(source, guard, first.value, this.#streamHooks);
    } catch (error) {
      close(source);
      throw error;
    }
  }

  /** A stream that arrives after everybody has gone is closed. */
  async #openStream(call: ProviderCall, guard: CallGuard): Promise<ProviderStream> {
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

/** What a strategy throws at once rejects like what it throws later. */
async function begunBy<Result>(work: () => Promise<Result>): Promise<Result> {
  return work();
}

/** A probe has told what it can as soon as the answer has begun; what breaks a stream later is counted by itself. */
async function probe<Result>(
  breaker: TargetBreaker,
  begin: () => Promise<Result>,
  rest: Work<Result>['rest'],
): Promise<Result> {
  const begun = await breaker.probe(begin);
  rest?.(begun).catch((error: unknown) => breaker.noteFailure(error));
  return begun;
}

/** Of any other stream the end counts; whoever asked for it gets it when it has begun. */
function watchToItsEnd<Result>(
  breaker: TargetBreaker,
  begin: () => Promise<Result>,
  rest: (begun: Result) => Promise<void>,
): Promise<Result> {
  return new Promise((resolve, reject) => {
    const toItsEnd = (begun: Result): Promise<void> => {
      resolve(begun);
      return rest(begun);
    };
    breaker.run(() => begin().then(toItsEnd)).catch(reject);
  });
}

function close(source: AsyncIterator<unknown>): void {
  source.return?.().catch(() => undefined);
}
