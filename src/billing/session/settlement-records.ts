import { Inject, Injectable } from '@nestjs/common';
import { APP_CONFIG, type AppConfig } from '../../config/app-config.js';
import type { AttemptReceipt } from '../billing-session.js';
import { isBroken } from '../broken-guarantees.js';
import { IdempotencyClaims } from '../idempotency/idempotency-claims.js';
import type { StoredResponse } from '../idempotency/stored-response.js';
import type { SettlementRecord } from '../settle/settlement-record.js';
import { GatewayInstance } from '../upkeep/gateway-instance.service.js';
import type { Due } from './charge-calculator.js';
import type { Held, SessionIdentity } from './held.js';

/** A charge is at most 1.10 × the worst case that was accepted; what is above it is the operator's. */
const CEILING_PERCENT = 110n;

/** Writes down how a request ended. */
@Injectable()
export class SettlementRecords {
  constructor(
    private readonly claims: IdempotencyClaims,
    private readonly instance: GatewayInstance,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {}

  charge(
    identity: SessionIdentity,
    held: Held,
    attempts: readonly AttemptReceipt[],
    due: Due,
  ): SettlementRecord {
    const ceilingNano = (held.boundNano * CEILING_PERCENT) / 100n;
    const { target, costNano, fromCache } = due;
    const record = this.#begin(identity, held, attempts);
    record.cost = costNano.toString();
    record.chargeable = costNano < ceilingNano ? record.cost : ceilingNano.toString();
    record.outcome = fromCache ? 'cache-hit' : 'usage';
    record.usage = due.usage;
    record.source = due.source;
    record.provider = target.provider;
    record.upstream_model = target.upstreamModel;
    record.price_version = target.priceVersion;
    if (fromCache) record.price_factor = this.config.billing.cacheHitPriceFactor;
    return record;
  }

  /** What a retry with the same Idempotency-Key gets; stored along with its charge. */
  answer(record: SettlementRecord): StoredResponse | undefined {
    const claim = record.idem_key === undefined ? undefined : this.claims.get(record.id);
    if (!claim?.answerOf || isBroken('answer-off')) return undefined;
    claim.kept = claim.answerOf(BigInt(record.chargeable));
    return claim.kept;
  }

  release(
    identity: SessionIdentity,
    held: Held,
    attempts: readonly AttemptReceipt[],
    reason: string,
  ): SettlementRecord {
    const record = this.#begin(identity, held, attempts);
    record.release = true;
    record.outcome = reason;
    return record;
  }

  /** All that does not depend on the ending. With all fields from the start, in one shape: it is made for every request. */
  #begin(
    identity: SessionIdentity,
    held: Held,
    attempts: readonly AttemptReceipt[],
  ): Writable<SettlementRecord> {
    const claim = this.claims.get(identity.billingId);
    return {
      id: identity.billingId,
      request_id: identity.requestId,
      user_id: identity.userId,
      model: held.model,
      stream: held.stream,
      targets: held.targets,
      instance_id: this.instance.id,
      idem_key: claim?.key,
      fingerprint: claim?.fingerprintHex,
      on_credit: held.onCredit,
      bound: held.boundNano.toString(),
      lease_id: held.leased?.lease.id,
      leased: held.leased && held.amountNano.toString(),
      held_at: held.leased?.heldAtMs,
      release: false,
      unknown: attempts.some(({ isCostUnknown }) => isCostUnknown === true),
      cost: '0',
      chargeable: '0',
      outcome: '',
      attempts,
      usage: undefined,
      source: undefined,
      provider: undefined,
      upstream_model: undefined,
      price_version: undefined,
      price_factor: undefined,
      provider_request_id: attempts.at(-1)?.providerRequestId,
      description: `Chat completion with ${held.model}`,
    };
  }
}

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };
