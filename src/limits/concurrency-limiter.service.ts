import { randomUUID } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { APP_CONFIG, type AppConfig } from '../config/app-config.js';
import { type GatewayEvent, Telemetry } from '../telemetry/telemetry.js';
import { LIMIT_STORE, type LimitStore } from './limit-store.js';
import { refusal } from './request-limiter.service.js';

const REFUSED: GatewayEvent = Object.freeze({
  kind: 'rate-limit',
  scope: 'user_concurrency',
  outcome: 'refused',
});
/** Nobody knows when an answer ends; a second is a fair time to look again. */
const RETRY_AFTER_MS = 1000;

/** Gives the slot back. Once is enough, more does no harm. */
export type ReleaseSlot = () => void;
const NOTHING_TO_RELEASE: ReleaseSlot = () => undefined;

/** Requests a user may have in flight, over all instances. A slot lapses some seconds after its instance has died. */
@Injectable()
export class ConcurrencyLimiter {
  readonly #limit: number;
  readonly #instance = randomUUID();
  #lastHolder = 0;

  constructor(
    @Inject(LIMIT_STORE) private readonly store: LimitStore,
    private readonly telemetry: Telemetry,
    @Inject(APP_CONFIG) config: AppConfig,
  ) {
    this.#limit = config.rateLimit.concurrentRequests;
  }

  get isOff(): boolean {
    return this.#limit === 0;
  }

  /** @throws GatewayError `rate_limited` when the user has as many requests in flight as allowed */
  async acquire(userId: string): Promise<ReleaseSlot> {
    if (this.isOff) return NOTHING_TO_RELEASE;
    const slot = { key: userId, holder: `${this.#instance}:${++this.#lastHolder}` };
    if (await this.store.acquireSlot(slot, this.#limit)) return () => void this.store.releaseSlot(slot);
    this.telemetry.event(REFUSED);
    throw refusal('rate_limited', `Rate limit reached: ${this.#limit} requests at a time.`, RETRY_AFTER_MS);
  }
}
