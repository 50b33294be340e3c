import type { ChatChunk, ChatStreamEvent } from '@app/contracts';
import { Injectable } from '@nestjs/common';
import type { Request } from 'express';
import type { CachePlan } from '../cache/cache-plan.js';
import type { CachedAnswer } from '../cache/cached-answer.js';
import { ResponseCache } from '../cache/response-cache.service.js';
import { requirePrincipal } from '../edge/request-context.js';
import type { StreamAnswer, WholeAnswer } from './answer.js';
import { CompletionExecution, type StreamHooks } from './completion-execution.service.js';
import type { CompletionRun } from './completion-run.js';
import { ReplayedStream } from './stream/replayed-stream.js';

type Land = (answer: CachedAnswer | undefined) => void;

/** Answers from the response cache where it may be used, else from a provider; identical requests share one call. */
@Injectable()
export class CachedAnswers {
  constructor(
    private readonly cache: ResponseCache,
    private readonly execution: CompletionExecution,
  ) {}

  whole(run: CompletionRun, incoming: Request): Promise<WholeAnswer> {
    const plan = this.#plan(run, incoming);
    return plan ? this.#wholeOrKnown(run, plan) : this.execution.complete(run);
  }

  async #wholeOrKnown(run: CompletionRun, plan: CachePlan): Promise<WholeAnswer> {
    const found = await this.#lookUp(plan, run);
    if (found.known) return { json: wholeJson(found.known, run) };
    let kept: CachedAnswer | undefined;
    try {
      const fresh = await this.execution.complete(run);
      kept = { kind: 'whole', completion: fresh.completion, ...circumstances(run) };
      await this.cache.store(plan, kept);
      return fresh;
    } finally {
      found.land(kept);
    }
  }

  async stream(run: CompletionRun, incoming: Request, hooks: StreamHooks): Promise<StreamAnswer> {
    const plan = this.#plan(run, incoming);
    if (!plan) return { events: await this.execution.stream(run, hooks) };
    const found = await this.#lookUp(plan, run);
    if (found.known) {
      return { events: new ReplayedStream(replay(eventsOf(found.known), run, hooks.onEvent), hooks) };
    }
    try {
      return { events: await this.execution.stream(run, this.#keeping(plan, found.land, run, hooks)) };
    } catch (error) {
      found.land(undefined);
      throw error;
    }
  }

  #plan(run: CompletionRun, incoming: Request): CachePlan | undefined {
    const principal = requirePrincipal(run.context);
    return this.cache.plan(run.request, incoming.headers, principal, run.catalogModel, run.isStream);
  }

  /** A stored answer, or that of an identical request under way, at the cache's price; otherwise this request leads. */
  async #lookUp(
    plan: CachePlan,
    run: CompletionRun,
  ): Promise<{ known: CachedAnswer } | { known: undefined; land: Land }> {
    const stored = await this.cache.lookup(plan);
    if (stored) return this.#hit(stored, run);
    const flight = this.cache.join(plan);
    const shared = flight.role === 'follower' ? await flight.answer : undefined;
    if (shared) return this.#hit(shared, run);
    run.cache = 'MISS';
    return { known: undefined, land: flight.role === 'leader' ? flight.land : () => undefined };
  }

  async #hit(known: CachedAnswer, run: CompletionRun): Promise<{ known: CachedAnswer }> {
    run.cache = 'HIT';
    run.usage = known.usage;
    run.droppedParams = known.droppedParams ?? [];
    run.answerText = () => textOf(known, run);
    await this.execution.chargeCacheHit(run, known.target, known.usage);
    return { known };
  }

  /** The same hooks, which also keep the events if the stream ends well. */
  #keeping(plan: CachePlan, land: Land, run: CompletionRun, hooks: StreamHooks): StreamHooks {
    const gathered = this.cache.gather();
    let kept: CachedAnswer | undefined;
    return {
      ...hooks,
      onUpstreamEvent: (event) => {
        if (!gathered.add(event)) land(undefined);
      },
      onComplete: async () => {
        const { events } = gathered;
        if (events) {
          kept = { kind: 'stream', events, ...circumstances(run) };
          await this.cache.store(plan, kept);
        }
        await hooks.onComplete?.();
      },
      onEnd: (end) => {
        land(kept);
        hooks.onEnd(end);
      },
    };
  }
}

function textOf(answer: CachedAnswer, run: CompletionRun): string {
  if (answer.kind === 'whole') return wholeJson(answer, run);
  return shownEvents(answer.events, run)
    .map((event) => shownJson(event, run))
    .join('\n');
}

/** The first request may have used another name of the same model. */
function wholeJson(answer: CachedAnswer, run: CompletionRun): string {
  if (answer.kind !== 'whole') throw new Error('a stream under the key of a whole answer');
  return JSON.stringify({ ...answer.completion, model: run.request.model });
}

function shownEvents(events: readonly ChatStreamEvent[], run: CompletionRun): readonly ChatStreamEvent[] {
  return run.includeUsage ? events : events.filter((event) => !event.usageOnly);
}

function shownJson(event: ChatStreamEvent, run: CompletionRun): string {
  return JSON.stringify({ ...(JSON.parse(event.json) as ChatChunk), model: run.request.model });
}

/** The kind of answer is part of the key, so only the right one is found. */
function eventsOf(answer: CachedAnswer): readonly ChatStreamEvent[] {
  if (answer.kind !== 'stream') throw new Error('a whole answer under the key of a stream');
  return answer.events;
}

/** What is kept beside the answer. */
function circumstances({
  target,
  usage,
  droppedParams,
}: CompletionRun): Pick<CachedAnswer, 'target' | 'usage' | 'droppedParams'> {
  if (!target) throw new Error('an answer has a target');
  const { provider, upstreamModel, priceVersion } = target;
  return { target: { provider, upstreamModel, priceVersion }, usage, droppedParams };
}

function* replay(
  events: readonly ChatStreamEvent[],
  run: CompletionRun,
  onEvent: StreamHooks['onEvent'],
): Generator<string> {
  for (const event of shownEvents(events, run)) {
    run.noteFirstChunk();
    run.finishReason = event.finishReason ?? run.finishReason;
    const json = shownJson(event, run);
    onEvent?.(json);
    yield json;
  }
}
