import { GatewayError } from '@app/contracts';
import { Inject, Injectable } from '@nestjs/common';
import { APP_CONFIG, type AppConfig } from '../config/app-config.js';
import { type GatewayEvent, Telemetry } from '../telemetry/telemetry.js';
import {
  type Charge,
  type Decision,
  LIMIT_STORE,
  type LimitStore,
  type MaybePromise,
  type WindowRule,
} from './limit-store.js';

export const MINUTE_MS = 60_000;
export const HOUR_MS = 3_600_000;
/** The key of the window that all users share; not a user id, whatever ids look like. */
const EVERYBODY = '*';

type LimitEvent = Extract<GatewayEvent, { kind: 'rate-limit' }>;
const ALLOWED: LimitEvent = Object.freeze({ kind: 'rate-limit', scope: 'user', outcome: 'allowed' });
const REFUSED: Readonly<Record<string, LimitEvent>> = Object.freeze({
  minute: Object.freeze({ kind: 'rate-limit', scope: 'user_minute', outcome: 'refused' }),
  hour: Object.freeze({ kind: 'rate-limit', scope: 'user_hour', outcome: 'refused' }),
  global: Object.freeze({ kind: 'rate-limit', scope: 'global_minute', outcome: 'refused' }),
});

/** Requests per user and minute, per user and hour, and of everybody per minute: one question, all or nothing. */
@Injectable()
export class RequestLimiter {
  /** The user's own windows, the shortest first; the shared one comes after them in every decision. */
  readonly userRules: readonly WindowRule[];
  readonly #globalCharge: Charge | undefined;

  constructor(
    @Inject(LIMIT_STORE) private readonly store: LimitStore,
    private readonly telemetry: Telemetry,
    @Inject(APP_CONFIG) config: AppConfig,
  ) {
    const { requestsPerMinute, requestsPerHour, globalRequestsPerMinute } = config.rateLimit;
    this.userRules = [
      { name: 'minute', limit: requestsPerMinute, windowMs: MINUTE_MS },
      { name: 'hour', limit: requestsPerHour, windowMs: HOUR_MS },
    ].filter(({ limit }) => limit > 0);
    if (globalRequestsPerMinute > 0) {
      const rule = { name: 'global', limit: globalRequestsPerMinute, windowMs: MINUTE_MS };
      this.#globalCharge = { rule, key: EVERYBODY, cost: 1 };
    }
  }

  get isOff(): boolean {
    return this.userRules.length === 0 && this.#globalCharge === undefined;
  }

  /** Counts one request of the user. Nothing is counted when the decision is a refusal. */
  take(userId: string): MaybePromise<Decision> {
    return this.store.take(this.#charges(userId));
  }

  /** What was taken for a request that another limit refuses afterwards. Never throws. */
  async giveBack(userId: string): Promise<void> {
    await Promise.all(this.#charges(userId).map((charge) => this.store.correct(charge, -1)));
  }

  #charges(userId: string): Charge[] {
    const charges: Charge[] = this.userRules.map((rule) => ({ rule, key: userId, cost: 1 }));
    if (this.#globalCharge) charges.push(this.#globalCharge);
    return charges;
  }

  /** Tells the metrics, and says what to answer: nothing when the request may pass. */
  judge(decision: Decision): GatewayError | undefined {
    if (decision.allowed) {
      this.telemetry.event(ALLOWED);
      return undefined;
    }
    const rule = this.userRules[decision.refusedBy];
    this.telemetry.event(REFUSED[rule?.name ?? 'global']!);
    return rule ? userRefusal(rule, decision.retryAfterMs) : globalRefusal(decision.retryAfterMs);
  }
}

function userRefusal(rule: WindowRule, retryAfterMs: number): GatewayError {
  return refusal(
    'rate_limited',
    `Rate limit reached: ${rule.limit} requests per ${rule.name}.`,
    retryAfterMs,
  );
}

function globalRefusal(retryAfterMs: number): GatewayError {
  return refusal(
    'global_rate_limited',
    'The rate limit for all users together has been reached.',
    retryAfterMs,
  );
}

/** @param retryAfterMs  rounded up to whole seconds in `Retry-After`, exact in `retry-after-ms` */
export function refusal(
  code: 'rate_limited' | 'global_rate_limited',
  message: string,
  retryAfterMs: number,
): GatewayError {
  const exactMs = Math.max(1, Math.ceil(retryAfterMs));
  return new GatewayError(code, `${message} Try again in ${Math.ceil(exactMs / 1000)} s.`, {
    retryAfterMs: exactMs,
    headers: { 'retry-after-ms': String(exactMs) },
  });
}
