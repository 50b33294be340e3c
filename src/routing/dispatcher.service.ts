import {
  GatewayError,
  type GatewayErrorCode,
  type ProviderAnswer,
  type ProviderCall,
  ProviderError,
  type ProviderStrategy,
  type ProviderStream,
} from '@app/contracts';
import { Inject, Injectable } from '@nestjs/common';
import { APP_CONFIG, type AppConfig } from '../config/app-config.js';
import { connectionFailure, wasUnsent } from '../providers/http/connection-failure.js';
import { ProviderRegistry } from '../providers/provider-registry.service.js';
import type { AttemptRecord } from '../telemetry/telemetry.js';
import { chooseError, mayTryElsewhere, type TargetFailure } from './choose-error.js';
import { type AnswerKind, LatencyBook } from './latency-book.service.js';
import { isUnfit, type PlannedTarget, type RoutePlan } from './route-plan.js';
import { TargetAvailability } from './target-availability.service.js';

/** A call without its target. `maxOutputTokens` is what the hold covers. */
export type CallTemplate = Omit<ProviderCall, 'upstreamModel' | 'placement'>;

/** Called for every upstream call when it ends; for a stream when its first event is there. */
export type OnAttempt = (attempt: AttemptRecord) => void;

export interface DispatchedAnswer {
  readonly target: PlannedTarget;
  readonly answer: ProviderAnswer;
}

export interface DispatchedStream {
  readonly target: PlannedTarget;
  /** Begun: its first event is there. */
  readonly stream: ProviderStream;
  /** The strategy's: a reload may have removed that meanwhile. */
  readonly cancelStopsBilling: boolean;
}

type Answered = Pick<ProviderAnswer, 'providerRequestId'>;

/** How a whole answer and a stream differ. */
interface Way<Result, Dispatched> {
  readonly ask: (strategy: ProviderStrategy, call: ProviderCall) => Promise<Result>;
  readonly dispatched: (target: PlannedTarget, result: Result, strategy: ProviderStrategy) => Dispatched;
}

const WHOLE: Way<ProviderAnswer, DispatchedAnswer> = {
  ask: (strategy, call) => strategy.complete(call),
  dispatched: (target, answer) => ({ target, answer }),
};

const STREAM: Way<ProviderStream, DispatchedStream> = {
  ask: (strategy, call) => strategy.stream(call),
  dispatched: (target, stream, { cancelStopsBilling }) => ({ target, stream, cancelStopsBilling }),
};

const ignore: OnAttempt = () => undefined;

/** One walk along a plan. */
interface Walk {
  readonly plan: RoutePlan;
  readonly template: CallTemplate;
  readonly kind: AnswerKind;
  readonly deadlineAtMs: number;
  /** `undefined` until one has failed. */
  failures: TargetFailure[] | undefined;
  readonly onAttempt: OnAttempt;
  /** The last error by which a provider said that it is busy. */
  refusal: ProviderError | undefined;
  /** Context windows of up to this many tokens have proved too small. */
  tooSmallWindow: number;
  /** Between two calls to the same target. */
  isPausing: boolean;
  /** When the current attempt began, by the wall clock and by a monotonic one. */
  startedAt: Date;
  startedMs: number;
}

/**
 * Walks a plan's targets until one answers. On to the next only while nothing has reached the client, and only from
 * failures after which nobody pays twice (`mayTryElsewhere`). When all failed, the most useful error is the answer.
 */
@Injectable()
export class Dispatcher {
  constructor(
    @Inject(ProviderRegistry) private readonly registry: Pick<ProviderRegistry, 'get'>,
    @Inject(TargetAvailability) private readonly availability: Pick<TargetAvailability, 'of'>,
    private readonly latencies: LatencyBook,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {}

  /** @throws ProviderError, GatewayError; the signal's reason when the caller aborted */
  complete(plan: RoutePlan, template: CallTemplate, onAttempt = ignore): Promise<DispatchedAnswer> {
    return this.#run(this.#walk(plan, template, 'whole', onAttempt), WHOLE);
  }

  /** Resolves with the stream's first event at hand. @throws as `complete` */
  stream(plan: RoutePlan, template: CallTemplate, onAttempt = ignore): Promise<DispatchedStream> {
    return this.#run(this.#walk(plan, template, 'stream', onAttempt), STREAM);
  }

  #walk(plan: RoutePlan, template: CallTemplate, kind: AnswerKind, onAttempt: OnAttempt): Walk {
    const nowMs = performance.now();
    return {
      plan,
      template,
      kind,
      onAttempt,
      deadlineAtMs: nowMs + this.config.timeouts.requestMs,
      failures: undefined,
      refusal: undefined,
      tooSmallWindow: 0,
      isPausing: false,
      startedAt: new Date(),
      startedMs: nowMs,
    };
  }

  async #run<Result extends Answered, Dispatched>(
    walk: Walk,
    way: Way<Result, Dispatched>,
  ): Promise<Dispatched> {
    const { plan, template } = walk;
    for (let index = 0; index < plan.targets.length; index += 1) {
      const target = plan.targets[index]!;
      if (!this.#begins(walk, target, index)) continue;
      try {
        const strategy = this.registry.get(target.provider);
        const result = await way.ask(strategy, this.#call(walk, target, index));
        this.#succeeded(walk, target, result);
        return way.dispatched(target, result, strategy);
      } catch (error) {
        this.#failed(walk, target, error);
        if (template.signal.aborted || !mayTryElsewhere(error)) throw toldOf(walk, error);
      }
    }
    throw chooseError(walk.failures ?? []) ?? new Error(`no target could be tried for ${plan.model.id}`);
  }

  /** The first target is tried in any case. @returns false when this one need not be */
  #begins(walk: Walk, target: PlannedTarget, index: number): boolean {
    if (index === 0) return true;
    this.#startClock(walk);
    return target.contextWindow > walk.tooSmallWindow && walk.startedMs < walk.deadlineAtMs;
  }

  /** Of the next upstream call. */
  #startClock(walk: Walk): void {
    walk.isPausing = false;
    walk.startedMs = performance.now();
    walk.startedAt = new Date();
  }

  #call(walk: Walk, target: PlannedTarget, index: number): ProviderCall {
    const { template, deadlineAtMs } = walk;
    return {
      request: template.request,
      upstreamModel: target.upstreamModel,
      clientModel: template.clientModel,
      maxOutputTokens: lowest(template.maxOutputTokens, target.maxOutputTokens),
      requestId: template.requestId,
      traceparent: template.traceparent,
      signal: template.signal,
      dropUnsupported: template.dropUnsupported,
      placement: {
        hasAlternative: this.#hasAlternative(walk, target, index),
        deadlineAtMs,
        onRepeat: ({ error, startedAt, durationMs }) => {
          walk.isPausing = true;
          this.#note(walk, target, startedAt, durationMs, error);
        },
        onResume: () => this.#startClock(walk),
      },
    };
  }

  /** Only the same model counts: waiting a moment is better than answering with another one. */
  #hasAlternative({ plan, tooSmallWindow }: Walk, { modelId }: PlannedTarget, index: number): boolean {
    if (index + 1 === plan.targets.length) return false;
    return plan.targets.some(
      (other, place) =>
        place > index &&
        other.modelId === modelId &&
        other.contextWindow > tooSmallWindow &&
        !isUnfit(other) &&
        this.availability.of(other) === 'ok',
    );
  }

  #succeeded(walk: Walk, target: PlannedTarget, result: Answered): void {
    const nowMs = performance.now();
    const durationMs = nowMs - walk.startedMs;
    this.latencies.note(target.provider, target.upstreamModel, walk.kind, durationMs, nowMs);
    this.#note(walk, target, walk.startedAt, durationMs, undefined, result.providerRequestId);
  }

  #failed(walk: Walk, target: PlannedTarget, error: unknown): void {
    const durationMs = performance.now() - walk.startedMs;
    // The error that ends a pause belongs to no call: the one before it has been noted.
    if (!walk.isPausing) this.#note(walk, target, walk.startedAt, durationMs, error);
    (walk.failures ??= []).push({
      isAskedModel: target.modelId === walk.plan.model.id,
      isUnfit: isUnfit(target),
      contextWindow: target.contextWindow,
      error,
    });
    if (!(error instanceof ProviderError)) return;
    if (error.code === 'first_chunk_timeout') {
      this.latencies.note(target.provider, target.upstreamModel, walk.kind, durationMs);
    }
    if (error.code === 'context_length_exceeded') {
      walk.tooSmallWindow = Math.max(walk.tooSmallWindow, target.contextWindow);
    }
  }

  /** @param error  `undefined` = it answered */
  #note(
    walk: Walk,
    target: PlannedTarget,
    startedAt: Date,
    durationMs: number,
    error: unknown,
    providerRequestId?: string,
  ): void {
    const failure = error instanceof ProviderError ? error : undefined;
    if (failure && BUSY.has(failure.code)) walk.refusal = failure;
    walk.onAttempt({
      provider: target.provider,
      upstreamModel: target.upstreamModel,
      startedAt,
      durationMs,
      timeToFirstChunkMs: error === undefined && walk.kind === 'stream' ? durationMs : undefined,
      outcome: outcomeOf(walk, error),
      upstreamStatus: failure?.upstreamStatus,
      providerRequestId: printable(failure?.providerRequestId ?? providerRequestId),
      isCostUnknown: failure?.processed === 'unknown' || isCutShort(error) || undefined,
      connectionFailure: failure && connectionFailure(failure)?.kind,
    });
  }
}

const BUSY: ReadonlySet<GatewayErrorCode> = new Set(['provider_overloaded', 'provider_rate_limited']);

/** If a call was late because it had hardly any time, the reason is what used up the time. */
function toldOf({ refusal }: Walk, error: unknown): unknown {
  const hadNoTime =
    error instanceof ProviderError && error.code === 'request_timeout' && !error.countsAsFailure;
  return hadNoTime && refusal ? refusal : error;
}

const MOST_ID_CHARACTERS = 200;
const PRINTABLE = /^[\x21-\x7e]*$/;

/** A provider's id goes into logs, traces and the database, which does not take every character. */
function printable(id: string | undefined): string | undefined {
  if (id === undefined || (id.length <= MOST_ID_CHARACTERS && PRINTABLE.test(id))) return id;
  return id.slice(0, MOST_ID_CHARACTERS).replace(/[^\x21-\x7e]/g, '?');
}

function outcomeOf({ template }: Walk, error: unknown): AttemptRecord['outcome'] {
  if (error === undefined) return 'ok';
  if (error instanceof GatewayError) return error.code;
  return template.signal.aborted ? 'client_gone' : 'internal_error';
}

/** The gateway itself ended it (a shutdown), when the provider may have begun to work on it. */
function isCutShort(error: unknown): boolean {
  return error instanceof GatewayError && error.code === 'draining' && !wasUnsent(error);
}

/** `undefined` = the model's own maximum, which is within the hold. */
function lowest(held: number | undefined, most: number): number | undefined {
  return held === undefined ? undefined : Math.min(held, most);
}
