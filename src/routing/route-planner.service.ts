import { type ChatRequest, requestedMaxOutputTokens } from '@app/contracts';
import { Inject, Injectable } from '@nestjs/common';
import type { Principal } from '../auth/principal.js';
import type { CatalogModel, CatalogTarget } from '../models/catalog.js';
import { isAllowed } from '../models/allowed-models.js';
import { ModelCatalog } from '../models/model-catalog.service.js';
import { targetKey } from '../providers/resilience/target-key.js';
import { type AnswerKind, LatencyBook } from './latency-book.service.js';
import { randomOrder, rendezvousOrder } from './rendezvous-order.js';
import { type Capability, requestNeeds } from './request-needs.js';
import type { PlaceReason, PlannedTarget, RoutePlan } from './route-plan.js';
import { type Availability, TargetAvailability } from './target-availability.service.js';

/** More would not be tried within anybody's patience, and a hold has to cover the dearest of them. */
export const MAX_TARGETS = 8;
const MAX_SETTLED = 1000;
/** A target drawn by weight gives way to the next one only when it is this many times slower: weights are promises. */
const CLEARLY_SLOWER = 2;
/**
 * The input's bound counts bytes. Text has four to five of them per token, so an input with more than six per token of the
 * window hardly fits. A wrong guess should cost a refused call, and not send a request to another model.
 */
const BYTES_PER_TOKEN = 6;

export interface PlanningContext {
  readonly principal: Principal;
  /** Upper bound of the input, tokens. Read only where there is a choice. */
  readonly inputTokensBound?: number | undefined;
  /** What should stay with one target, e.g. a session: its prompt is cached there. */
  readonly stickyKey?: string | undefined;
  /** Whether the answer will be streamed, where the request's own `stream` does not say so. */
  readonly isStream?: boolean | undefined;
}

/** A target as `?explain=route` shows it: why it stands where it does, and what is known of it now. */
export interface ExplainedTarget {
  readonly provider: string;
  readonly upstream_model: string;
  readonly model: string;
  readonly reason: PlaceReason;
  readonly availability: Availability;
  readonly weight: number;
  readonly context_window: number;
  readonly max_output_tokens: number;
  readonly price_version: string;
  /** Average time until an answer begins; `null` = not measured lately. */
  readonly latency_ms: { readonly stream: number | null; readonly whole: number | null };
}

/**
 * Model name -> the targets to try, in order: by weight (or by the sticky key), the clearly slower of two behind, then
 * the backups (weight 0), then the fallback models. Then those that can probably not serve the request now go behind
 * those that can; nobody is left out, because the last one may be right after all.
 */
@Injectable()
export class RoutePlanner {
  /** Plans of models with one target and no fallback: always the same. */
  readonly #settled = new Map<string, RoutePlan>();

  constructor(
    @Inject(ModelCatalog) private readonly catalog: Pick<ModelCatalog, 'snapshot'>,
    @Inject(TargetAvailability) private readonly availability: Pick<TargetAvailability, 'of'>,
    private readonly latencies: LatencyBook,
  ) {}

  plan(model: CatalogModel, request: ChatRequest, context: PlanningContext): RoutePlan {
    const settled = this.#settled.get(model.id);
    if (settled?.model === model) return settled; // one that was configured anew is another object
    const targets = this.#order(model, request, context);
    if (targets.length === 1 && model.fallbacks.length === 0) {
      const plan = { model, targets };
      if (this.#settled.size >= MAX_SETTLED) this.#settled.clear();
      this.#settled.set(model.id, plan);
      return plan;
    }
    const seen = new Set(targets.map(({ provider, upstreamModel }) => targetKey(provider, upstreamModel)));
    for (const fallback of this.#fallbacks(model, context.principal)) {
      for (const target of this.#order(fallback, request, context)) {
        const id = targetKey(target.provider, target.upstreamModel);
        if (!seen.has(id)) targets.push({ ...target, reason: 'fallback' });
        seen.add(id);
      }
    }
    const ordered = targets.length > 1 ? this.#demote(targets, request, context) : targets;
    return { model, targets: ordered.slice(0, MAX_TARGETS) };
  }

  explain(plan: RoutePlan): ExplainedTarget[] {
    return plan.targets.map((target) => ({
      provider: target.provider,
      upstream_model: target.upstreamModel,
      model: target.modelId,
      reason: target.reason,
      availability: this.availability.of(target),
      weight: target.weight,
      context_window: target.contextWindow,
      max_output_tokens: target.maxOutputTokens,
      price_version: target.priceVersion,
      latency_ms: {
        stream: this.#latencyMs(target, 'stream') ?? null,
        whole: this.#latencyMs(target, 'whole') ?? null,
      },
    }));
  }

  #order(model: CatalogModel, request: ChatRequest, context: PlanningContext): PlannedTarget[] {
    const planned = (target: CatalogTarget, reason: PlaceReason): PlannedTarget => ({
      ...target,
      modelId: model.id,
      reason,
    });
    const [only] = model.targets;
    if (model.targets.length === 1 && only) return [planned(only, 'weight')];
    const weighted = model.targets
      .filter(({ weight }) => weight > 0)
      .map((target) => planned(target, 'weight'));
    const backups = model.targets.filter(({ weight }) => weight === 0);
    return [
      ...this.#orderWeighted(weighted, request, context),
      ...backups.map((target) => planned(target, 'backup')),
    ];
  }

  #orderWeighted(
    targets: readonly PlannedTarget[],
    request: ChatRequest,
    { principal, stickyKey, isStream = request.stream === true }: PlanningContext,
  ): PlannedTarget[] {
    const key = stickyKey ?? request.user;
    if (key != null && key !== '') {
      const ordered = rendezvousOrder(`${principal.userId}\n${key}`, targets, stickyId);
      return ordered.map((target) => ({ ...target, reason: 'sticky' }));
    }
    return this.#preferFaster(randomOrder(targets, Math.random), isStream ? 'stream' : 'whole');
  }

  /** Power of two choices: of the first two drawn, the clearly slower one comes second. */
  #preferFaster(drawn: PlannedTarget[], kind: AnswerKind): PlannedTarget[] {
    const [first, second, ...others] = drawn;
    if (!first || !second) return drawn;
    const firstMs = this.#latencyMs(first, kind);
    const secondMs = this.#latencyMs(second, kind);
    if (firstMs === undefined || secondMs === undefined || firstMs <= CLEARLY_SLOWER * secondMs) return drawn;
    return [{ ...second, reason: 'latency' }, first, ...others];
  }

  #latencyMs({ provider, upstreamModel }: CatalogTarget, kind: AnswerKind): number | undefined {
    return this.latencies.averageMs(provider, upstreamModel, kind);
  }

  /** Fallbacks, then their fallbacks, each once, and only what the token may use. */
  #fallbacks(model: CatalogModel, principal: Principal): CatalogModel[] {
    if (model.fallbacks.length === 0) return [];
    const snapshot = this.catalog.snapshot();
    const found = new Map<string, CatalogModel>([[model.root, model]]);
    const names = [...model.fallbacks];
    for (const name of names) {
      if (found.size > MAX_TARGETS) break;
      const fallback = snapshot.find(name);
      if (!fallback || found.has(fallback.root) || !isAllowed(fallback, name, principal, snapshot)) continue;
      found.set(fallback.root, fallback);
      names.push(...fallback.fallbacks);
    }
    return [...found.values()].slice(1);
  }

  /** Stable: targets with the same demerits keep their order. */
  #demote(
    targets: readonly PlannedTarget[],
    request: ChatRequest,
    context: PlanningContext,
  ): PlannedTarget[] {
    const needs = requestNeeds(request);
    const leastTokens =
      (context.inputTokensBound ?? 0) / BYTES_PER_TOKEN + (requestedMaxOutputTokens(request) ?? 0);
    const judged = targets.map((target) => this.#judge(target, needs, leastTokens));
    return judged.sort((first, second) => first.demerits - second.demerits).map(({ target }) => target);
  }

  /** A missing capability weighs more than a window that is too small, and that more than a state that may pass. */
  #judge(
    target: PlannedTarget,
    needs: readonly Capability[],
    leastTokens: number,
  ): { target: PlannedTarget; demerits: number } {
    const lacks = needs.some((need) => !target.capabilities[need]);
    const isTooSmall = leastTokens > target.contextWindow;
    const availability = this.availability.of(target);
    const reason = lacks ? 'capability' : isTooSmall ? 'context-window' : availability;
    if (reason === 'ok') return { target, demerits: 0 };
    const demerits = (lacks ? 4 : 0) + (isTooSmall ? 2 : 0) + (availability === 'ok' ? 0 : 1);
    return { target: { ...target, reason }, demerits };
  }
}

/** What the sticky order goes by: another form would send every session elsewhere. */
function stickyId({ provider, upstreamModel }: PlannedTarget): string {
  return `${provider}/${upstreamModel}`;
}
