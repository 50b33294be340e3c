import type { Usage } from '@app/contracts';
import { saneUsage } from '@app/money';
import { databaseUnavailable } from '../../database/connection-error.js';
import type { Telemetry } from '../../telemetry/telemetry.js';
import type {
  AttemptReceipt,
  BillingSession,
  HoldQuote,
  QuoteTarget,
  SettledCharge,
  Settlement,
} from '../billing-session.js';
import { isBroken } from '../broken-guarantees.js';
import { crashPoint } from '../crash-points.js';
import type { BillingJournal } from '../journal/billing-journal.service.js';
import type { JournalMark } from '../journal/journal-writer.js';
import { answerLine, settlementLine } from '../journal/journal-record.js';
import { packAnswer } from '../idempotency/packed-answer.js';
import type { OutageCredit } from '../outage/outage-credit.service.js';
import type { SettlementRecord } from '../settle/settlement-record.js';
import type { Settler, Settling } from '../settle/settler.service.js';
import type { ChargeCalculator, Due } from './charge-calculator.js';
import type { HoldTaker } from './hold-taker.js';
import type { Held, SessionIdentity } from './held.js';
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
  readonly telemetry: Telemetry;
}

export interface SessionHooks {
  readonly onHeld: () => void;
  readonly onClosed: () => void;
}

/** One request's money: hold → settle | release, exactly once. */
export class MeteredBillingSession implements BillingSession {
  readonly #attempts: AttemptReceipt[] = [];
  #held: Held | undefined;
  #extension: Promise<boolean> | undefined;
  #settled: Promise<SettledCharge> | undefined;

  constructor(
    private readonly identity: SessionIdentity,
    private readonly services: SessionServices,
    private readonly hooks: SessionHooks,
  ) {}

  get billingId(): string {
    return this.identity.billingId;
  }

  get closed(): boolean {
    return this.#settled !== undefined;
  }

  attempt(receipt: AttemptReceipt): void {
    const { provider, upstreamModel, outcome, upstreamStatus, providerRequestId } = receipt;
    const durationMs = Math.round(receipt.durationMs);
    this.#attempts.push({ provider, upstreamModel, outcome, upstreamStatus, providerRequestId, durationMs });
  }

  async hold(quote: HoldQuote): Promise<{ readonly maxOutputTokens: number | undefined }> {
    if (this.#held || this.closed) throw new Error('a billing session holds once');
    const held = await this.services.taker.take(this.identity, quote);
    this.#keep(held);
    crashPoint('after-hold');
    const isModelsOwn =
      quote.requestedMaxOutputTokens === undefined && held.limit >= quote.modelMaxOutputTokens;
    return { maxOutputTokens: isModelsOwn ? undefined : held.limit };
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
    this.#settled ??= this.#settle(settlement).finally(() => this.hooks.onClosed());
    return this.#settled;
  }

  #keep(held: Held): void {
    this.#held = held;
    this.hooks.onHeld();
  }

  #extend(held: Held): Promise<boolean> {
    this.#extension ??= this.services.taker.extend(this.identity, held).finally(() => {
      this.#extension = undefined;
    });
    return this.#extension;
  }

  async #reach(held: Held, outputTokens: number): Promise<boolean> {
    while (held.coveredTokens < Math.min(outputTokens, held.totalTokens)) {
      if (!(await this.#extend(held))) return false;
    }
    return true;
  }

  async #settle(settlement: Settlement): Promise<SettledCharge> {
    // The answer to an extension on its way decides what is held.
    await this.#extension?.catch(() => false);
    switch (settlement.kind) {
      case 'release':
        return this.#release(settlement.reason, undefined);
      case 'unknown-cost':
        return this.#release(settlement.reason, settlement.target);
      case 'usage':
        return this.#charge(settlement.target, settlement.usage, settlement.source, false);
      case 'cache-hit':
        return this.#charge(settlement.target, settlement.usage, 'provider', true);
      default:
        return settlement satisfies never;
    }
  }

  /** Not in the journal: should the process die first, the sweep gives the hold back. */
  #release(reason: string, unknownTarget: QuoteTarget | undefined): SettledCharge {
    if (unknownTarget) {
      const { provider, upstreamModel } = unknownTarget;
      const { requestId, userId } = this.identity;
      const facts = { provider, model: upstreamModel, requestId, userId };
      this.services.telemetry.event({ kind: 'unknown-cost', ...facts });
    }
    const held = this.#held;
    if (held) {
      const record = this.services.records.release(
        this.identity,
        held,
        this.#attempts,
        reason,
        unknownTarget,
      );
      void this.#enqueue(held, { record, json: JSON.stringify(record) });
    }
    return { costNanoUsd: 0n };
  }

  async #charge(
    target: QuoteTarget,
    reported: Usage,
    source: 'provider' | 'own',
    fromCache: boolean,
  ): Promise<SettledCharge> {
    const { charges, records, taker } = this.services;
    const usage = saneUsage(reported);
    const costNano = await charges.price(this.identity, target, usage, fromCache);
    if (!this.#held) {
      if (costNano === 0n) return { costNanoUsd: 0n };
      this.#keep(await taker.takeExactly(this.identity, charges.exactQuote(target), costNano));
    }
    const held = this.#held as Held;
    const due: Due = { target, usage, source, costNano, fromCache };
    const record = records.charge(this.identity, held, this.#attempts, due);
    await this.#book(held, record);
    return { costNanoUsd: BigInt(record.chargeable) };
  }

  /** Resolves when the charge survives the process: in the journal or, should its disk fail, in the database. */
  async #book(held: Held, record: SettlementRecord): Promise<void> {
    const json = JSON.stringify(record);
    const kept = this.services.records.answer(record);
    const answer = kept && (await packAnswer(kept));
    crashPoint('before-journal');
    // In this order: a charge on the disk has its answer there.
    const writingAnswer = answer && this.#write(answerLine(record.id, answer));
    const mark = await this.#write(settlementLine(json));
    const answerMark = writingAnswer && (await writingAnswer);
    crashPoint('after-journal');
    const booked = this.#enqueue(held, { record, json, mark, answer, answerMark });
    if (!mark && !isBroken('journal-off')) await withinTime(booked);
  }

  #write(line: string): Promise<JournalMark | undefined> {
    if (isBroken('journal-off')) return Promise.resolve(undefined);
    return this.services.journal.append(line).catch(() => undefined);
  }

  #enqueue(held: Held, settling: Settling): Promise<void> {
    const { settler, credit } = this.services;
    return new Promise((resolve) => {
      const onDone = (): void => {
        if (held.onCredit) credit.giveBack(this.identity.userId, held.amountNano);
        resolve();
      };
      settler.enqueue({ ...settling, onDone });
    });
  }
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
