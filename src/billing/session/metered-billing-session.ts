import type { Usage } from '@app/contracts';
import { saneUsage, smaller } from '@app/money';
import { databaseUnavailable } from '../../database/connection-error.js';
import type { Telemetry } from '../../telemetry/telemetry.js';
import type {
  AttemptReceipt,
  BillingSession,
  HoldQuote,
  HoldResult,
  QuoteTarget,
  SettledCharge,
  Settlement,
  UsageSource,
} from '../billing-session.js';
import { isBroken } from '../broken-guarantees.js';
import { crashPoint } from '../crash-points.js';
import type { BillingJournal } from '../journal/billing-journal.service.js';
import type { JournalMark } from '../journal/journal-writer.js';
import { answerRecord, type JournalRecord } from '../journal/journal-record.js';
import type { StoredResponse } from '../idempotency/stored-response.js';
import type { AnswerPacker } from '../idempotency/answer-packer.js';
import type { OutageCredit } from '../outage/outage-credit.service.js';
import type { SettlementRecord } from '../settle/settlement-record.js';
import type { Settler, Settling } from '../settle/settler.service.js';
import type { ChargeCalculator, Due } from './charge-calculator.js';
import type { HoldTaker } from './hold-taker.js';
import type { Held, SessionIdentity } from './held.js';
import type { HoldingSession, HoldingSessions } from './holding-sessions.js';
import type { SettlementRecords } from './settlement-records.js';

/** The next slice is asked for this many tokens before the last one is used up. */
const HEADROOM_TOKENS = 1024;
/** How long a client waits for its charge to be booked when the journal cannot keep it. */
const DIRECT_BOOKING_MS = 5000;

export interface SessionServices {
  readonly taker: HoldTaker;
  readonly charges: ChargeCalculator;
  readonly records: SettlementRecords;
  readonly settler: Settler;
  readonly journal: BillingJournal;
  readonly credit: OutageCredit;
  readonly packer: AnswerPacker;
  readonly telemetry: Telemetry;
  readonly holding: HoldingSessions;
}

/** One request's money: hold → settle | release, exactly once. */
export class MeteredBillingSession implements BillingSession, HoldingSession {
  heldSinceMs = 0;
  place = -1;
  #attempts: readonly AttemptReceipt[] = [];
  #held: Held | undefined;
  #extension: Promise<boolean> | undefined;
  #settled: Promise<SettledCharge> | undefined;

  constructor(
    private readonly identity: SessionIdentity,
    private readonly services: SessionServices,
  ) {}

  get billingId(): string {
    return this.identity.billingId;
  }

  get closed(): boolean {
    return this.#settled !== undefined;
  }

  attempt(receipt: AttemptReceipt): void {
    const { provider, upstreamModel, outcome, upstreamStatus, isCostUnknown } = receipt;
    const providerRequestId = storable(receipt.providerRequestId);
    const durationMs = Math.round(receipt.durationMs);
    const attempt = {
      provider,
      upstreamModel,
      outcome,
      upstreamStatus,
      providerRequestId,
      durationMs,
      isCostUnknown,
    };
    if (isCostUnknown) this.#tellUnknownCost(attempt);
    // Not pushed: an array makes room for seventeen when it grows, and mostly there is one attempt.
    this.#attempts = this.#attempts.concat(attempt);
  }

  hold(quote: HoldQuote): HoldResult | Promise<HoldResult> {
    if (this.#held || this.closed) return Promise.reject(new Error('a billing session holds once'));
    const held = this.services.taker.take(this.identity, quote);
    return held instanceof Promise
      ? held.then((taken) => this.#begin(quote, taken))
      : this.#begin(quote, held);
  }

  covers(outputTokensSoFar: number): Promise<boolean> | true {
    const held = this.#held;
    if (!held || held.coveredTokens >= held.totalTokens) return true;
    if (outputTokensSoFar + HEADROOM_TOKENS <= held.coveredTokens) return true;
    const extension = this.#extend(held);
    if (outputTokensSoFar > held.coveredTokens) return this.#reach(held, outputTokensSoFar);
    // Not needed yet: whatever becomes of it is seen when it is.
    extension.catch(() => undefined);
    return true;
  }

  settle(settlement: Settlement): Promise<SettledCharge> {
    this.#settled ??= this.#extension
      ? this.#settleAfter(this.#extension, settlement)
      : this.#settle(settlement);
    return this.#settled;
  }

  #tellUnknownCost({ provider, upstreamModel: model }: AttemptReceipt): void {
    const { requestId, userId } = this.identity;
    this.services.telemetry.event({ kind: 'unknown-cost', provider, model, requestId, userId });
  }

  #begin(quote: HoldQuote, held: Held): HoldResult {
    this.#keep(held);
    crashPoint('after-hold');
    return { maxOutputTokens: isModelsOwnLimit(quote, held) ? undefined : held.limit };
  }

  #keep(held: Held): void {
    this.#held = held;
    this.services.holding.add(this);
  }

  /** From here on what is held is the settler's, or nobody's. */
  #close(): void {
    this.services.holding.remove(this);
  }

  #extend(held: Held): Promise<boolean> {
    this.#extension ??= this.services.taker.extend(this.identity, held).finally(() => {
      this.#extension = undefined;
    });
    return this.#extension;
  }

  async #reach(held: Held, outputTokens: number): Promise<boolean> {
    while (held.coveredTokens < Math.min(outputTokens, held.totalTokens)) {
      // The request has ended meanwhile: nobody would give back what is held now.
      if (this.closed) return true;
      if (!(await this.#extend(held))) return false;
    }
    return true;
  }

  /** Waits for an extension on its way, which decides what is held. */
  async #settleAfter(extension: Promise<boolean>, settlement: Settlement): Promise<SettledCharge> {
    await extension.catch(() => false);
    return this.#settle(settlement);
  }

  /** Waits for nothing but the journal when everything else is at hand, as it nearly always is. */
  #settle(settlement: Settlement): Promise<SettledCharge> {
    try {
      return this.#end(settlement);
    } catch (error) {
      this.#close();
      return Promise.reject(error);
    }
  }

  #end(settlement: Settlement): Promise<SettledCharge> {
    switch (settlement.kind) {
      case 'release':
        if (settlement.isCostUnknown) this.#noteCut(settlement.reason);
        return this.#release(settlement.reason);
      case 'usage':
        return this.#charge(settlement.target, settlement.usage, settlement.source, false);
      case 'cache-hit':
        return this.#charge(settlement.target, settlement.usage, 'provider', true);
      default:
        return settlement satisfies never;
    }
  }

  /** The last call had begun to answer, and ended otherwise than was noted. */
  #noteCut(outcome: string): void {
    const last = this.#attempts.at(-1);
    if (!last || last.isCostUnknown) return;
    const cut = { ...last, outcome, isCostUnknown: true } as const;
    this.#attempts = [...this.#attempts.slice(0, -1), cut];
    this.#tellUnknownCost(cut);
  }

  /** Not in the journal: should the process die first, the sweep gives the hold back. */
  #release(reason: string): Promise<SettledCharge> {
    const held = this.#held;
    if (held) {
      const record = this.services.records.release(this.identity, held, this.#attempts, reason);
      if (record.unknown) return this.#releaseWithRows(held, record);
      this.#enqueue(held, { record });
    }
    this.#close();
    return Promise.resolve({ costNanoUsd: 0n });
  }

  /** In the journal: no sweep would know what the operator has to look for at the provider. */
  async #releaseWithRows(held: Held, record: SettlementRecord): Promise<SettledCharge> {
    try {
      const mark = await this.#write({ t: 'S', s: record }).catch(() => undefined);
      this.#enqueue(held, { record, mark });
      return { costNanoUsd: 0n };
    } finally {
      this.#close();
    }
  }

  #charge(
    target: QuoteTarget,
    reported: Usage,
    source: UsageSource,
    fromCache: boolean,
  ): Promise<SettledCharge> {
    const usage = saneUsage(reported);
    const costNano = this.services.charges.priceNow(target, usage, fromCache);
    const held = this.#held;
    if (costNano === undefined || (!held && costNano > 0n)) {
      return this.#chargeLater(target, usage, source, fromCache).finally(() => this.#close());
    }
    if (!held) return Promise.resolve({ costNanoUsd: 0n });
    return this.#book(held, { target, usage, source, costNano, fromCache });
  }

  /** When the price or the money has to be waited for. */
  async #chargeLater(
    target: QuoteTarget,
    usage: Usage,
    source: UsageSource,
    fromCache: boolean,
  ): Promise<SettledCharge> {
    const { charges, taker } = this.services;
    const costNano = await charges.price(this.identity, target, usage, fromCache);
    if (!this.#held) {
      if (costNano === 0n) return { costNanoUsd: 0n };
      this.#keep(await taker.takeExactly(this.identity, target, costNano));
    }
    return this.#book(this.#held as Held, { target, usage, source, costNano, fromCache });
  }

  /** Resolves when the charge survives the process: in the journal or, should its disk fail, in the database. */
  #book(held: Held, due: Due): Promise<SettledCharge> {
    const record = this.services.records.charge(this.identity, held, this.#attempts, due);
    const answer = this.services.records.answer(record);
    if (answer) return this.#bookWithAnswer(held, record, answer).finally(() => this.#close());
    crashPoint('before-journal');
    return this.#write({ t: 'S', s: record }).then(
      (mark) => this.#journaled(held, { record, mark }),
      () => this.#bookDirectly(held, { record }),
    );
  }

  async #bookWithAnswer(held: Held, record: SettlementRecord, kept: StoredResponse): Promise<SettledCharge> {
    const owner = { userId: record.user_id, key: record.idem_key ?? '' };
    const answer = await this.services.packer.pack(kept, owner);
    crashPoint('before-journal');
    // In this order: a charge on the disk has its answer there.
    const writingAnswer = this.#write(answerRecord(record.id, answer)).catch(() => undefined);
    const mark = await this.#write({ t: 'S', s: record }).catch(() => undefined);
    const answerMark = await writingAnswer;
    const settling = { record, mark, answer, answerMark };
    return mark ? this.#journaled(held, settling) : this.#bookDirectly(held, settling);
  }

  #write(record: JournalRecord): Promise<JournalMark> {
    return isBroken('journal-off')
      ? Promise.reject(new Error('the journal is off'))
      : this.services.journal.append(record);
  }

  /** The charge is on the disk; nobody has to wait until it is booked. */
  #journaled(held: Held, settling: Settling): SettledCharge {
    try {
      crashPoint('after-journal');
      this.#enqueue(held, settling);
      return { costNanoUsd: BigInt(settling.record.chargeable) };
    } finally {
      this.#close();
    }
  }

  /** The journal could not keep it: whoever waits for the answer waits until it is booked. */
  async #bookDirectly(held: Held, settling: Settling): Promise<SettledCharge> {
    try {
      crashPoint('after-journal');
      const booked = new Promise<void>((resolve) => this.#enqueue(held, settling, resolve));
      if (!isBroken('journal-off')) await withinTime(booked);
      return { costNanoUsd: BigInt(settling.record.chargeable) };
    } finally {
      this.#close();
    }
  }

  #enqueue(held: Held, settling: Settling, onBooked?: () => void): void {
    const { settler, credit } = this.services;
    const { userId } = this.identity;
    if (held.leased) {
      const { lease } = held.leased;
      lease.settle(held.amountNano, smaller(BigInt(settling.record.chargeable), held.amountNano));
      settling.lease = lease;
    }
    if (!held.onCredit && !onBooked) return settler.enqueue(settling);
    const onDone = (): void => {
      if (held.onCredit) credit.giveBack(userId, held.amountNano);
      onBooked?.();
    };
    settler.enqueue({ ...settling, onDone });
  }
}

/** The client named no limit, and none is needed. */
function isModelsOwnLimit(quote: HoldQuote, { limit }: Held): boolean {
  return quote.requestedMaxOutputTokens === undefined && limit >= quote.modelMaxOutputTokens;
}

function withinTime(booked: Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(databaseUnavailable()), DIRECT_BOOKING_MS);
    void booked.then(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

const LONGEST_ID = 256;
const IS_PLAIN = /^[\x20-\x7e]{0,256}$/;

/** A provider's id made fit for jsonb, which refuses a NUL or half a surrogate, and the charge with it. */
function storable(id: string | undefined): string | undefined {
  if (id === undefined || IS_PLAIN.test(id)) return id;
  return id.slice(0, LONGEST_ID).replaceAll('\0', '').toWellFormed();
}
