import {
  abortReason,
  type CallSignal,
  type ChatCompletion,
  type ChatStreamEvent,
  GatewayError,
  requestedMaxOutputTokens,
  type Usage,
  writtenText,
} from '@app/contracts';
import { Inject, Injectable } from '@nestjs/common';
import type { Principal } from '../auth/principal.js';
import type { BillingSession, QuoteTarget, Settlement } from '../billing/billing-session.js';
import { QuoterService } from '../billing/quote/quoter.service.js';
import { APP_CONFIG, type AppConfig } from '../config/app-config.js';
import { InFlight } from '../edge/in-flight.js';
import { requirePrincipal } from '../edge/request-context.js';
import { wasUnsent } from '../providers/http/connection-failure.js';
import { type CallTemplate, Dispatcher } from '../routing/dispatcher.service.js';
import type { PlannedTarget, RoutePlan } from '../routing/route-plan.js';
import { type PlanningContext, RoutePlanner } from '../routing/route-planner.service.js';
import type { AttemptRecord } from '../telemetry/telemetry.js';
import { FreshAnswer } from './answer.js';
import type { CompletionRun } from './completion-run.js';
import { BilledStream, type StreamEnd } from './stream/billed-stream.js';
import { DrainPool } from './stream/drain-pool.js';
import { ownUsage } from './stream/own-usage.js';

export interface StreamHooks {
  /** The answer is kept for a retry: it is read to its end even when the client leaves. */
  readonly keepsAnswer?: boolean;
  /** Every event as the provider sent it, including those that this client does not get. */
  readonly onUpstreamEvent?: (event: ChatStreamEvent) => void;
  /** Every event's JSON, as the client gets it. */
  readonly onEvent?: (json: string) => void;
  /** After settlement, before the client can see the end. */
  readonly onComplete?: () => Promise<void>;
  readonly onEnd: (end: StreamEnd) => void;
}

/** One request that really goes upstream: plan → hold → dispatch → settle. */
@Injectable()
export class CompletionExecution {
  constructor(
    private readonly planner: RoutePlanner,
    private readonly quoter: QuoterService,
    private readonly dispatcher: Dispatcher,
    private readonly inFlight: InFlight,
    private readonly drains: DrainPool,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {}

  private plan(run: CompletionRun): RoutePlan {
    const plan = this.planner.plan(run.catalogModel, run.request, new Planning(run, this.quoter));
    return this.quoter.priced(plan, run.request);
  }

  /** What would be done; nothing is. */
  explain(run: CompletionRun): Record<string, unknown> {
    const plan = this.plan(run);
    const quote = this.quoter.quote(plan, run.request, run.isStream);
    return {
      object: 'route.explanation',
      model: plan.model.id,
      targets: this.planner.explain(plan),
      input_tokens_bound: quote.inputTokensBound,
      max_output_tokens: quote.requestedMaxOutputTokens ?? quote.modelMaxOutputTokens,
    };
  }

  /**
   * A whole answer. Once the provider works on it, it is finished and charged even if the client has left: the provider
   * bills it all the same, and with an Idempotency-Key the retry gets it.
   */
  async complete(run: CompletionRun): Promise<FreshAnswer> {
    const billing = billingOf(run);
    const plan = this.plan(run);
    const { maxOutputTokens } = await this.hold(run, billing, plan);
    if (run.context.isClientGone) return this.forgo(run, billing);
    const upstream = this.begin(run);
    const call = this.call(run, upstream, maxOutputTokens);
    try {
      const dispatched = await this.dispatcher.complete(plan, call, (attempt) =>
        this.noteAttempt(run, billing, attempt),
      );
      run.target = dispatched.target;
      const { answer } = dispatched;
      run.droppedParams = answer.droppedParams;
      run.finishReason = answer.completion.choices[0]?.finish_reason;
      run.output = answer.completion.choices[0]?.message;
      const usage = answer.usage ?? (await ownUsage(run.request, outputText(answer.completion), undefined));
      run.usage = usage;
      const fresh = new FreshAnswer(answer.completion);
      run.answerText ??= () => fresh.json;
      const settlement = this.beginSettlement(run, billing, {
        kind: 'usage',
        target: quoteTarget(dispatched.target),
        usage,
        source: answer.usage ? 'provider' : 'own',
      });
      noteSettled(run, await settlement);
      return fresh;
    } catch (error) {
      await this.settleFailure(run, billing, error);
      throw error;
    } finally {
      this.inFlight.end(upstream);
    }
  }

  /** The client left before any provider was asked: none is, and a retry with its Idempotency-Key starts afresh. */
  private async forgo(run: CompletionRun, billing: BillingSession): Promise<never> {
    await this.settle(run, billing, { kind: 'release', reason: 'client_gone' });
    throw abortReason(run.context.clientGone);
  }

  /** A stream that has begun: its first event is there. Everything after that is the BilledStream's. */
  async stream(run: CompletionRun, hooks: StreamHooks): Promise<AsyncIterable<string>> {
    const billing = billingOf(run);
    const plan = this.plan(run);
    const { maxOutputTokens } = await this.hold(run, billing, plan);
    if (run.context.isClientGone) return this.forgo(run, billing);
    const upstream = this.begin(run);
    const call = this.call(run, upstream, maxOutputTokens);
    const keepsAnswer = hooks.keepsAnswer ?? false;
    const abortWithClient = (): void => upstream.abort();
    if (!keepsAnswer) run.context.clientGone.addEventListener('abort', abortWithClient, { once: true });
    try {
      const dispatched = await this.dispatcher.stream(plan, call, (attempt) =>
        this.noteAttempt(run, billing, attempt),
      );
      run.context.clientGone.removeEventListener('abort', abortWithClient);
      run.target = dispatched.target;
      run.droppedParams = dispatched.stream.droppedParams;
      this.inFlight.streamOpened();
      return new BilledStream({
        run,
        stream: dispatched.stream,
        target: quoteTarget(dispatched.target),
        billing,
        upstream,
        cancelStopsBilling: dispatched.cancelStopsBilling,
        keepsAnswer,
        drains: this.drains,
        onUpstreamEvent: hooks.onUpstreamEvent,
        onEvent: hooks.onEvent,
        onComplete: hooks.onComplete,
        onEnd: (end) => {
          this.inFlight.streamEnded();
          this.inFlight.end(upstream);
          hooks.onEnd(end);
        },
      });
    } catch (error) {
      run.context.clientGone.removeEventListener('abort', abortWithClient);
      this.inFlight.end(upstream);
      if (run.context.clientGone.aborted && !keepsAnswer)
        await this.settleAbandoned(run, billing, plan, error);
      else await this.settleFailure(run, billing, error);
      throw error;
    }
  }

  /** Books an answer that came from the cache, at the cache's price (free by default). */
  async chargeCacheHit(run: CompletionRun, target: QuoteTarget, usage: Usage | undefined): Promise<void> {
    run.target = target;
    if (!usage) return;
    await this.settle(run, billingOf(run), { kind: 'cache-hit', target, usage });
  }

  private hold(
    run: CompletionRun,
    billing: BillingSession,
    plan: RoutePlan,
  ): ReturnType<BillingSession['hold']> {
    run.enterStage('hold');
    return billing.hold(this.quoter.quote(plan, run.request, run.isStream));
  }

  /** From now on a shutdown waits for the run, and may abort it. */
  private begin(run: CompletionRun): ReturnType<InFlight['begin']> {
    const nowMs = performance.now();
    run.leaveStage(nowMs);
    run.noteUpstreamStart(nowMs);
    return this.inFlight.begin();
  }

  private call(run: CompletionRun, upstream: CallSignal, heldOutputTokens: number | undefined): CallTemplate {
    const { request, context } = run;
    return {
      request,
      clientModel: request.model,
      maxOutputTokens: heldOutputTokens ?? requestedMaxOutputTokens(request),
      requestId: context.requestId,
      traceparent: context.traceparent,
      signal: upstream,
      dropUnsupported: this.config.completions.dropUnsupportedParams,
    };
  }

  private noteAttempt(run: CompletionRun, billing: BillingSession, attempt: AttemptRecord): void {
    // By `concat`, as a list that grows in place reserves room for seventeen, and mostly there is one.
    run.attempts = run.attempts.concat(attempt);
    billing.attempt(attempt);
  }

  private async settle(run: CompletionRun, billing: BillingSession, settlement: Settlement): Promise<void> {
    noteSettled(run, await this.beginSettlement(run, billing, settlement));
  }

  private beginSettlement(
    run: CompletionRun,
    billing: BillingSession,
    settlement: Settlement,
  ): ReturnType<BillingSession['settle']> {
    const nowMs = performance.now();
    run.noteUpstreamEnd(nowMs);
    run.enterStage('settle', nowMs);
    return billing.settle(settlement);
  }

  /** Nothing answered: free for the user. */
  private async settleFailure(run: CompletionRun, billing: BillingSession, error: unknown): Promise<void> {
    if (billing.closed) return;
    const reason = error instanceof GatewayError ? error.code : 'internal_error';
    await this.settle(run, billing, { kind: 'release', reason });
  }

  /**
   * The client left while the provider was thinking: the provider has read the input and will charge for it, so the input
   * is charged by our own count; otherwise clients could have prompts read at others' expense. A client that left while no
   * call was under way (between two calls, or before the connection was there) pays nothing.
   */
  private async settleAbandoned(
    run: CompletionRun,
    billing: BillingSession,
    plan: RoutePlan,
    error: unknown,
  ): Promise<void> {
    const target = lastAsked(run, plan);
    if (!target || run.attempts.at(-1)?.outcome !== 'client_gone' || wasUnsent(error)) {
      await this.settle(run, billing, { kind: 'release', reason: 'client_gone' });
      return;
    }
    run.target = target;
    run.usage = await ownUsage(run.request, '', undefined);
    await this.settle(run, billing, {
      kind: 'usage',
      target: quoteTarget(target),
      usage: run.usage,
      source: 'own',
    });
  }
}

/** What the planner may ask. The input is measured only on demand: most models have one target, and nothing to choose. */
class Planning implements PlanningContext {
  readonly principal: Principal;
  readonly stickyKey: string | undefined;
  readonly isStream: boolean;

  constructor(
    private readonly run: CompletionRun,
    private readonly quoter: QuoterService,
  ) {
    this.principal = requirePrincipal(run.context);
    this.stickyKey = run.stickyKey;
    this.isStream = run.isStream;
  }

  get inputTokensBound(): number {
    return this.quoter.inputTokensBound(this.run.request);
  }
}

function noteSettled(run: CompletionRun, { costNanoUsd }: { readonly costNanoUsd: bigint }): void {
  run.leaveStage();
  run.costNanoUsd = costNanoUsd;
}

/** By both names: two providers may use the same name for a model, at different prices. */
function lastAsked({ attempts }: CompletionRun, { targets }: RoutePlan): PlannedTarget | undefined {
  const last = attempts.at(-1);
  return targets.find(
    ({ provider, upstreamModel }) => provider === last?.provider && upstreamModel === last.upstreamModel,
  );
}

function billingOf(run: CompletionRun): BillingSession {
  if (!run.context.billing) throw new Error('no billing session: the route is not @Billed()');
  return run.context.billing;
}

function quoteTarget(target: PlannedTarget): QuoteTarget {
  return {
    provider: target.provider,
    upstreamModel: target.upstreamModel,
    priceVersion: target.priceVersion,
  };
}

/** Without the refusal of a filter: the model did not write it. */
function outputText(completion: ChatCompletion): string {
  const written = completion.choices.map(({ message, finish_reason }) =>
    finish_reason === 'content_filter' ? { ...message, refusal: null } : message,
  );
  return written.map(writtenText).join('');
}
