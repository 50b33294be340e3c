import type { ChatRequest } from '@app/contracts';
import { Inject, Injectable } from '@nestjs/common';
import type { IncomingHttpHeaders } from 'node:http';
import type { Principal } from '../auth/principal.js';
import { APP_CONFIG, type AppConfig } from '../config/app-config.js';
import type { CatalogModel } from '../models/catalog.js';
import { type GatewayEvent, Telemetry } from '../telemetry/telemetry.js';
import type { AnswerStore } from './answer-store.js';
import { type CachePlan, planCache } from './cache-plan.js';
import { type CachedAnswer, decodeAnswer, encodeAnswer, isWorthKeeping } from './cached-answer.js';
import { GatheredEvents } from './gathered-events.js';
import { type Flight, SingleFlight } from './single-flight.js';

/** Injection token of the `AnswerStore`. */
export const ANSWER_STORE = Symbol('ANSWER_STORE');

type CacheEvent = Extract<GatewayEvent, { kind: 'cache' }>;
const HIT: CacheEvent = Object.freeze({ kind: 'cache', cache: 'response', outcome: 'hit' });
const MISS: CacheEvent = Object.freeze({ kind: 'cache', cache: 'response', outcome: 'miss' });

/**
 * Answers given again for the same request of the same user. Off unless the model's configuration or the request's
 * `x-cache-ttl` asks for it. Knows nothing of money: what a hit costs is decided by who settles it.
 */
@Injectable()
export class ResponseCache {
  readonly #flights: SingleFlight;
  readonly #maxBytes: number;
  readonly #clientTtlMs: number;

  constructor(
    @Inject(ANSWER_STORE) private readonly answers: AnswerStore,
    private readonly telemetry: Telemetry,
    @Inject(APP_CONFIG) config: AppConfig,
  ) {
    this.#flights = new SingleFlight(config.timeouts.requestMs);
    this.#maxBytes = config.cache.responseMaxBytes;
    this.#clientTtlMs = config.cache.responseTtlMs;
  }

  /**
   * @returns `undefined` = the cache is not to be used for this request (`x-cache: BYPASS`)
   * @throws GatewayError `invalid_body` for a bad `x-cache-ttl`
   */
  plan(
    request: ChatRequest,
    headers: IncomingHttpHeaders,
    principal: Principal,
    model: CatalogModel,
    isStream: boolean,
  ): CachePlan | undefined {
    if (this.#maxBytes === 0) return undefined;
    return planCache(request, headers, principal, model, isStream, this.#clientTtlMs);
  }

  /** Ends soon and never throws: a store in trouble has nothing. */
  async lookup(plan: CachePlan): Promise<CachedAnswer | undefined> {
    const text = await this.answers.get(plan.key);
    const answer = text === undefined ? undefined : decodeAnswer(text);
    this.telemetry.event(answer ? HIT : MISS);
    return answer;
  }

  /** Keeps an answer that is complete and not too large. Never throws; nobody needs to wait for it. */
  async store(plan: CachePlan, answer: CachedAnswer): Promise<void> {
    if (!isWorthKeeping(answer)) return;
    const text = encodeAnswer(answer);
    if (Buffer.byteLength(text) <= this.#maxBytes) await this.answers.set(plan.key, text, plan.ttlMs);
  }

  /** For the events of a stream that may be stored when it has ended. */
  gather(): GatheredEvents {
    return new GatheredEvents(this.#maxBytes);
  }

  /** Joins identical requests that are under way in this process. A leader must land, whatever its end. */
  join(plan: CachePlan): Flight {
    return this.#flights.join(plan.key);
  }
}
