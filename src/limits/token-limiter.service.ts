import { Inject, Injectable } from '@nestjs/common';
import { APP_CONFIG, type AppConfig } from '../config/app-config.js';
import { type GatewayEvent, Telemetry } from '../telemetry/telemetry.js';
import { type Charge, LIMIT_STORE, type LimitStore, type WindowRule } from './limit-store.js';
import { goDuration } from './rate-limit-headers.js';
import { MINUTE_MS, refusal } from './request-limiter.service.js';

const REFUSED: GatewayEvent = Object.freeze({ kind: 'rate-limit', scope: 'user_tokens', outcome: 'refused' });

/** Tokens taken before the call, to be corrected once after it. */
export interface TokenReservation {
  readonly charge: Charge;
  /** `performance.now()` */
  readonly takenAtMs: number;
  /** `x-ratelimit-*-tokens`, in OpenAI's form. */
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * Tokens per user and minute. What a request may use is taken before it is sent and corrected when its usage is
 * known, so until then the larger figure counts. An estimate beyond the whole limit takes the whole limit: such a
 * request is served when nothing else was in the last minute, instead of never.
 */
@Injectable()
export class TokenLimiter {
  readonly #rule: WindowRule;

  constructor(
    @Inject(LIMIT_STORE) private readonly store: LimitStore,
    private readonly telemetry: Telemetry,
    @Inject(APP_CONFIG) config: AppConfig,
  ) {
    this.#rule = { name: 'tokens', limit: config.rateLimit.tokensPerMinute, windowMs: MINUTE_MS };
  }

  get isOff(): boolean {
    return this.#rule.limit === 0;
  }

  /**
   * @param tokens  estimate: input and the most output that can come
   * @returns `undefined` while the limit is off
   * @throws GatewayError `rate_limited` with the time after which it fits
   */
  async reserve(userId: string, tokens: number): Promise<TokenReservation | undefined> {
    const rule = this.#rule;
    if (this.isOff) return undefined;
    const charge = { rule, key: userId, cost: Math.min(Math.max(0, Math.ceil(tokens)), rule.limit) };
    const takenAtMs = performance.now();
    const { allowed, retryAfterMs, windows } = await this.store.take([charge]);
    const { used, emptyInMs } = windows[0]!;
    const headers = {
      'x-ratelimit-limit-tokens': String(rule.limit),
      'x-ratelimit-remaining-tokens': String(Math.max(0, rule.limit - Math.ceil(used))),
      'x-ratelimit-reset-tokens': goDuration(emptyInMs),
    };
    if (allowed) return { charge, takenAtMs, headers };
    this.telemetry.event(REFUSED);
    throw refusal('rate_limited', `Rate limit reached: ${rule.limit} tokens per minute.`, retryAfterMs);
  }

  /** Replaces the estimate by what was used; 0 for a request that failed. Never throws. */
  async correct(reservation: TokenReservation | undefined, tokens: number): Promise<void> {
    if (!reservation) return;
    const { charge, takenAtMs } = reservation;
    const delta = Math.round(tokens) - charge.cost;
    // Of a longer answer they are out of the window already: what is given back would be the tokens of later requests.
    const hasLapsed = performance.now() - takenAtMs >= charge.rule.windowMs;
    if (delta > 0 || (delta < 0 && !hasLapsed)) await this.store.correct(charge, delta);
  }
}
