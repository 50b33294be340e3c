import { GatewayError } from '@app/contracts';
import { larger, type NanoUsd, smaller } from '@app/money';
import { Injectable } from '@nestjs/common';
import { databaseUnavailable, isConnectionError } from '../../database/connection-error.js';
import type { HoldQuote, QuoteTarget } from '../billing-session.js';
import type { Grant, HoldOrder } from '../holds/hold-order.js';
import { HoldsService } from '../holds/holds.service.js';
import { Lease } from '../leases/lease.js';
import { Leases } from '../leases/leases.service.js';
import { IdempotencyClaims } from '../idempotency/idempotency-claims.js';
import { BillingJournal } from '../journal/billing-journal.service.js';
import type { JournalRecord } from '../journal/journal-record.js';
import { isOutage } from '../money-database.js';
import { OutageCredit } from '../outage/outage-credit.service.js';
import { PriceVersions } from '../prices/price-versions.service.js';
import { Settler } from '../settle/settler.service.js';
import { GatewayInstance } from '../upkeep/gateway-instance.service.js';
import type { Held, SessionIdentity } from './held.js';
import { affordableLimit, outputLimit, quoteCost } from './quote-cost.js';

/** Settlements that wait to be booked are in memory, a few kilobytes each: beyond so many no lease is used. */
export const MOST_UNBOOKED = 50_000;
/** A stream's hold covers its input and this many output tokens first, and grows by as many. */
const SLICE_TOKENS = 4096;
/** A balance that does not cover one token of output is not enough. */
const LEAST_OUTPUT_TOKENS = 1;

/** Turns a quote into reserved money: from the account or, while the database is away, from the outage credit. */
@Injectable()
export class HoldTaker {
  constructor(
    private readonly holds: HoldsService,
    private readonly leases: Leases,
    private readonly journal: BillingJournal,
    private readonly prices: PriceVersions,
    private readonly credit: OutageCredit,
    private readonly claims: IdempotencyClaims,
    private readonly instance: GatewayInstance,
    private readonly settler: Settler,
  ) {}

  /**
   * At once, out of a lease, when that covers it.
   *
   * @throws GatewayError `insufficient_balance`, `balance_reserved`, `idempotency_conflict`, `database_unavailable`
   */
  take(identity: SessionIdentity, quote: HoldQuote): Held | Promise<Held> {
    if (this.instance.isFenced || !this.journal.isHealthy) return Promise.reject(databaseUnavailable());
    const limit = outputLimit(quote);
    const isNamed = quote.requestedMaxOutputTokens !== undefined;
    const boundNano = quoteCost(quote, limit);
    const takeNano = quote.sliceable
      ? smaller(boundNano, quoteCost(quote, Math.ceil(SLICE_TOKENS / quote.choices)))
      : boundNano;
    const lease = this.#lease(identity, takeNano, boundNano);
    if (lease instanceof Lease) return heldOf(quote, limit, boundNano, takeNano, lease);
    const reserve = (): Promise<Held> => {
      const needNano = isNamed ? boundNano : quoteCost(quote, Math.min(LEAST_OUTPUT_TOKENS, limit));
      return this.#reserve(this.#order(identity, quote, takeNano, needNano, boundNano)).then((grant) => {
        this.credit.noteAvailable(identity.userId, grant.freeNano);
        return isNamed
          ? heldOf(quote, limit, boundNano, grant.amountNano)
          : this.#heldWithinGrant(identity, quote, limit, boundNano, grant);
      });
    };
    const held = lease
      ? lease.then((grown) => (grown ? heldOf(quote, limit, boundNano, takeNano, grown) : reserve()))
      : reserve();
    return held.catch((error: unknown) => this.#takeOtherwise(identity, quote, error));
  }

  /**
   * A hold out of a lease, when that covers the whole worst case. Not with an Idempotency-Key: its claim is the hold's row.
   * Not before the prices are stored: a hold refers to them. Not while the database falls behind in booking: only requests
   * that have to ask it for their holds are slowed down by it.
   */
  #lease(
    { billingId, userId }: SessionIdentity,
    takeNano: NanoUsd,
    boundNano: NanoUsd,
  ): Lease | Promise<Lease | undefined> | undefined {
    if (this.prices.hasUnstored || this.claims.get(billingId)) return undefined;
    if (this.settler.pending >= MOST_UNBOOKED) return undefined;
    return this.leases.hold(userId, takeNano, boundNano);
  }

  /** Reserves the exact amount that is due already, for an answer from the cache that is not free. */
  async takeExactly(identity: SessionIdentity, target: QuoteTarget, amountNano: NanoUsd): Promise<Held> {
    const subject = { model: target.upstreamModel, stream: false, targets: [target] };
    await this.holds.hold(this.#order(identity, subject, amountNano, amountNano, amountNano));
    return {
      ...subject,
      slices: undefined,
      limit: 0,
      totalTokens: 0,
      boundNano: amountNano,
      onCredit: false,
      leased: undefined,
      amountNano,
      coveredTokens: 0,
      isShort: false,
    };
  }

  /** The next slice of a stream. False when the account does not cover it. */
  async extend(identity: SessionIdentity, held: Held): Promise<boolean> {
    const { slices } = held;
    if (!slices) return false;
    const tokens = Math.min(held.totalTokens, held.coveredTokens + SLICE_TOKENS);
    const wholeNano = quoteCost(slices, Math.ceil(tokens / slices.choices));
    const byNano = wholeNano > held.amountNano ? wholeNano - held.amountNano : 0n;
    if (byNano > 0n && !(await this.#reserveMore(identity, held, byNano))) return false;
    held.coveredTokens = tokens;
    return true;
  }

  /**
   * A stream that was affordable when it began is not cut because the database is away: a slice that got no answer does
   * not count as held, and is asked for again with the next one.
   */
  async #reserveMore(identity: SessionIdentity, held: Held, byNano: NanoUsd): Promise<boolean> {
    const { billingId, userId } = identity;
    const reserve = (): Promise<boolean> =>
      held.leased ? this.leases.extend(held.leased.lease, byNano) : this.holds.extend(billingId, byNano);
    try {
      let isReserved = await reserve();
      if (!isReserved && !held.isShort) isReserved = await this.leases.recallAndRetry(userId, reserve);
      if (isReserved) held.amountNano += byNano;
      held.isShort = !isReserved;
      return isReserved;
    } catch (error) {
      if (isConnectionError(error)) return true;
      throw error;
    }
  }

  /** Prices first: a hold refers to them. */
  #reserve(order: HoldOrder): Promise<Grant> {
    if (!this.prices.hasUnstored) return this.holds.hold(order);
    return this.prices.store().then(() => this.holds.hold(order));
  }

  /** On credit while the database is away; with the input counted when the money does not cover its bound. */
  async #takeOtherwise(identity: SessionIdentity, quote: HoldQuote, error: unknown): Promise<Held> {
    if (isOutage(error)) return this.#takeFromCredit(identity, quote, error);
    const isShortOfMoney = error instanceof GatewayError && error.status === 402;
    const refined = isShortOfMoney ? await quote.refine?.() : undefined;
    if (!refined || refined.inputTokensBound >= quote.inputTokensBound) throw error;
    return this.take(identity, refined);
  }

  /** @throws the outage, as 503, when the credit does not cover the request */
  async #takeFromCredit(identity: SessionIdentity, quote: HoldQuote, outage: unknown): Promise<Held> {
    const { userId, billingId, requestId } = identity;
    const wanted = outputLimit(quote);
    const affordable = affordableLimit(quote, this.credit.shareOf(userId)) ?? 0;
    const limit = quote.requestedMaxOutputTokens === undefined ? Math.min(wanted, affordable) : wanted;
    const amountNano = quoteCost(quote, limit);
    if (limit < Math.min(LEAST_OUTPUT_TOKENS, wanted)) throw databaseUnavailable(outage);
    if (!this.credit.take(userId, amountNano)) throw databaseUnavailable(outage);
    try {
      for (const version of this.prices.unstored) this.journal.note({ t: 'V', v: version });
      const record: JournalRecord = {
        t: 'R',
        id: billingId,
        user_id: userId,
        request_id: requestId,
        amount: amountNano.toString(),
      };
      this.journal.booked([await this.journal.append(record)], []);
    } catch {
      this.credit.giveBack(userId, amountNano);
      throw databaseUnavailable(outage);
    }
    return { ...heldOf(quote, limit, amountNano, amountNano), onCredit: true };
  }

  /**
   * For a client that named no limit: holds with the limit that the money covers. The input is counted only when its cheap
   * bound would lower the limit. A slice is extended out of what is free; a whole hold is all there will be.
   */
  #heldWithinGrant(
    { userId }: SessionIdentity,
    quote: HoldQuote,
    limit: number,
    costNano: NanoUsd,
    grant: Grant,
  ): Held | Promise<Held> {
    const budgetNano = quote.sliceable ? grant.freeNano : grant.amountNano;
    if (budgetNano >= costNano) return heldOf(quote, limit, costNano, grant.amountNano);
    return this.#lowerToCovered(userId, quote, limit, costNano, grant);
  }

  async #lowerToCovered(
    userId: string,
    quote: HoldQuote,
    limit: number,
    costNano: NanoUsd,
    { amountNano, freeNano }: Grant,
  ): Promise<Held> {
    const restNano = freeNano - amountNano;
    // A hold that took all there was has recalled the leases before. Without an answer, what was free then has to do.
    const budgetNano =
      quote.sliceable && restNano > 0n
        ? amountNano +
          (await this.leases.freeAfterRecall(userId, costNano - amountNano).catch(() => restNano))
        : amountNano;
    if (budgetNano >= costNano) return heldOf(quote, limit, costNano, amountNano);
    const refined = (await quote.refine?.()) ?? quote;
    const covered = Math.min(limit, affordableLimit(refined, budgetNano) ?? 0);
    return heldOf(refined, covered, quoteCost(refined, covered), amountNano);
  }

  #order(
    identity: SessionIdentity,
    { model, stream, targets }: Pick<HoldQuote, 'model' | 'stream' | 'targets'>,
    takeNano: NanoUsd,
    needNano: NanoUsd,
    boundNano: NanoUsd,
  ): HoldOrder {
    return {
      billingId: identity.billingId,
      requestId: identity.requestId,
      userId: identity.userId,
      model,
      stream,
      targets,
      takeNano,
      needNano,
      boundNano,
      idempotency: this.claims.get(identity.billingId),
    };
  }
}

/** @param costNano  the worst case at this limit */
function heldOf(
  quote: HoldQuote,
  limit: number,
  costNano: NanoUsd,
  amountNano: NanoUsd,
  lease?: Lease,
): Held {
  const totalTokens = limit * quote.choices;
  const isSlice = quote.sliceable && amountNano < costNano;
  const { model, stream, targets } = quote;
  return {
    model,
    stream,
    targets,
    slices: isSlice ? quote : undefined,
    limit,
    totalTokens,
    // A refined count lowers neither what is held nor the ceiling under it.
    boundNano: larger(costNano, amountNano),
    onCredit: false,
    leased: lease && { lease, heldAtMs: Date.now() },
    amountNano,
    coveredTokens: isSlice ? Math.min(totalTokens, coveredTokens(quote, amountNano)) : totalTokens,
    isShort: false,
  };
}

function coveredTokens(quote: HoldQuote, amountNano: NanoUsd): number {
  return (affordableLimit(quote, amountNano) ?? 0) * quote.choices;
}
