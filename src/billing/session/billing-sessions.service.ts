import { Inject, Injectable } from '@nestjs/common';
import { APP_CONFIG, type AppConfig } from '../../config/app-config.js';
import { Telemetry } from '../../telemetry/telemetry.js';
import type { BillingSession } from '../billing-session.js';
import { AnswerPacker } from '../idempotency/answer-packer.js';
import { BillingJournal } from '../journal/billing-journal.service.js';
import { OutageCredit } from '../outage/outage-credit.service.js';
import { Settler } from '../settle/settler.service.js';
import { ChargeCalculator } from './charge-calculator.js';
import { FreeBillingSession } from './free-billing-session.js';
import type { SessionIdentity } from './held.js';
import { HoldTaker } from './hold-taker.js';
import { AFTERLIFE_MS, HoldingSessions } from './holding-sessions.js';
import { MeteredBillingSession, type SessionServices } from './metered-billing-session.js';
import { SettlementRecords } from './settlement-records.js';

/** Opens the money side of requests, and knows those that hold money. */
@Injectable()
export class BillingSessions {
  readonly #holding = new HoldingSessions();
  readonly #services: SessionServices;

  constructor(
    taker: HoldTaker,
    charges: ChargeCalculator,
    records: SettlementRecords,
    settler: Settler,
    journal: BillingJournal,
    credit: OutageCredit,
    packer: AnswerPacker,
    telemetry: Telemetry,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {
    const holding = this.#holding;
    this.#services = { taker, charges, records, settler, journal, credit, packer, telemetry, holding };
    telemetry.addGauge({ name: 'holds_open', read: () => this.#holding.size });
  }

  open(identity: SessionIdentity): BillingSession {
    if (!this.config.billing.enabled) return new FreeBillingSession(identity.billingId);
    return new MeteredBillingSession(identity, this.#services);
  }

  /** Ids of the requests that hold money and run. */
  holdingIds(): string[] {
    return this.#holding.ids();
  }

  /** Those of them that may still be running: one older than any request can get was forgotten. */
  aliveIds(): string[] {
    const oldestMs = performance.now() - this.config.timeouts.requestMs - AFTERLIFE_MS;
    return this.#holding.ids(oldestMs);
  }
}
