import {
  type CallPlacement,
  GatewayError,
  type ProviderAnswer,
  type ProviderCall,
  ProviderError,
  type ProviderStrategy,
  type ProviderStream,
} from '@app/contracts';
import { Inject, Injectable } from '@nestjs/common';
import { APP_CONFIG, type AppConfig } from '../config/app-config.js';
import { ProviderRegistry } from '../providers/provider-registry.service.js';
import type { AttemptRecord } from '../telemetry/telemetry.js';
import { chooseError, mayTryElsewhere, type TargetFailure } from './choose-error.js';
import { type AnswerKind, LatencyBook } from './latency-book.service.js';
import type { PlannedTarget, RoutePlan } from './route-plan.js';
import { TargetAvailability } from './target-availability.service.js';

/** A call without its target. `maxOutputTokens` is what the hold covers. */
export type CallTemplate = Omit<ProviderCall, 'upstreamModel' | 'placement'>;

/** Told of every upstream call as it ends; of a stream when its first event is there. */
export type OnAttempt = (attempt: AttemptRecord) => void;

export interface DispatchedAnswer {
  readonly target: PlannedTarget;
  readonly answer: ProviderAnswer;
  readonly attempts: readonly AttemptRecord[];
}

export interface DispatchedStream {
  readonly target: PlannedTarget;
  /** Begun: its first event is there. */
  readonly stream: ProviderStream;
  readonly attempts: readonly AttemptRecord[];
}

type Answered = Pick<ProviderAnswer, 'providerRequestId'>;

interface Start {
  readonly at: Date;
  readonly ms: number;
}

/** One walk along a plan. */
interface Walk {
  readonly plan: RoutePlan;
  readonly template: CallTemplate;
  readonly kind: AnswerKind;
  readonly deadlineAtMs: number;
  readonly attempts: AttemptRecord[];
  readonly failures: TargetFailure[];
  readonly onAttempt: OnAttempt;
  /** Windows up to this many tokens have proved too small. */
  tooSmallWindow: number;
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
  async complete(plan: RoutePlan, template: CallTemplate, onAttempt?: OnAttempt): Promise<DispatchedAnswer> {
    const walk = this.#walk(plan, template, 'whole', onAttempt);
    const { target, result } = await this.#run(walk, (strategy, call) => strategy.complete(call));
    return { target, answer: result, attempts: walk.attempts };
  }

  /** Resolves with the stream's first event at hand. @throws as `complete` */
  async stream(plan: RoutePlan, template: CallTemplate, onAttempt?: OnAttempt): Promise<DispatchedStream> {
    const walk = this.#walk(plan, template, 'stream', onAttempt);
    const { target, result } = await this.#run(walk, (strategy, call) => strategy.stream(call));
    return { target, stream: result, attempts: walk.attempts };
  }

  #walk(
    plan: RoutePlan,
    template: CallTemplate,
    kind: AnswerKind,
    onAttempt: OnAttempt = () => undefined,
  ): Walk {
    const deadlineAtMs = performance.now() + this.config.timeouts.requestMs;
    return { plan, template, kind, deadlineAtMs, attempts: [], failures: [], onAttempt, tooSmallWindow: 0 };
  }

  async #run<T extends Answered>(
    walk: Walk,
    ask: (strategy: ProviderStrategy, call: ProviderCall) => Promise<T>,
  ): Promise<{ target: PlannedTarget; result: T }> {
    const { plan, template, failures } = walk;
    for (const [index, target] of plan.targets.entries()) {
      if (target.contextWindow <= walk.tooSmallWindow || performance.now() >= walk.deadlineAtMs) continue;
      const start = { at: new Date(), ms: performance.now() };
      try {
        const result = await ask(this.registry.get(target.provider), this.#call(walk, target, index));
        this.#succeeded(walk, target, start, result);
        return { target, result };
      } catch (error) {
        this.#failed(walk, target, start, error);
        if (template.signal.aborted || !mayTryElsewhere(error)) throw error;
      }
    }
    throw chooseError(failures) ?? new Error(`no target could be tried for ${plan.model.id}`);
  }

  #call(walk: Walk, target: PlannedTarget, index: number): ProviderCall {
    const { template, deadlineAtMs } = walk;
    const placement: CallPlacement = {
      hasAlternative: this.#hasAlternative(walk, target, index),
      deadlineAtMs,
      onRepeat: ({ error, startedAt, durationMs }) => this.#note(walk, target, startedAt, durationMs, error),
    };
    return {
      ...template,
      upstreamModel: target.upstreamModel,
      maxOutputTokens: lowest(template.maxOutputTokens, target.maxOutputTokens),
      placement,
    };
  }

  /** Only the same model counts: to wait a moment is better than to answer with another one. */
  #hasAlternative({ plan, tooSmallWindow }: Walk, { modelId }: PlannedTarget, index: number): boolean {
    return plan.targets.some(
      (other, place) =>
        place > index &&
        other.modelId === modelId &&
        other.contextWindow > tooSmallWindow &&
        this.availability.of(other) === 'ok',
    );
  }

  #succeeded(walk: Walk, target: PlannedTarget, start: Start, result: Answered): void {
    const durationMs = performance.now() - start.ms;
    this.latencies.note(target.provider, target.upstreamModel, walk.kind, durationMs);
    this.#note(walk, target, start.at, durationMs, undefined, result.providerRequestId);
  }

  #failed(walk: Walk, target: PlannedTarget, start: Start, error: unknown): void {
    const durationMs = performance.now() - start.ms;
    this.#note(walk, target, start.at, durationMs, error);
    walk.failures.push({ isAskedModel: target.modelId === walk.plan.model.id, error });
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
    const attempt: AttemptRecord = {
      provider: target.provider,
      upstreamModel: target.upstreamModel,
      startedAt,
      durationMs,
      timeToFirstChunkMs: error === undefined && walk.kind === 'stream' ? durationMs : undefined,
      outcome: outcomeOf(walk, error),
      upstreamStatus: failure?.upstreamStatus,
      providerRequestId: printable(failure?.providerRequestId ?? providerRequestId),
    };
    walk.attempts.push(attempt);
    walk.onAttempt(attempt);
  }
}

const MOST_ID_CHARACTERS = 200;

/** An id that a provider gave goes into logs, traces and the database, which does not take every character. */
function printable(id: string | undefined): string | undefined {
  return id?.slice(0, MOST_ID_CHARACTERS).replace(/[^\x21-\x7e]/g, '?');
}

function outcomeOf({ template }: Walk, error: unknown): AttemptRecord['outcome'] {
  if (error === undefined) return 'ok';
  if (error instanceof GatewayError) return error.code;
  return template.signal.aborted ? 'client_gone' : 'internal_error';
}

/** `undefined` = the model's own maximum, which is within the hold. */
function lowest(held: number | undefined, most: number): number | undefined {
  return held === undefined ? undefined : Math.min(held, most);
}
