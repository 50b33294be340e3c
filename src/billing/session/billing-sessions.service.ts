import { Inject, Injectable } from '@nestjs/common';
import { APP_CONFIG, type AppConfig } from '../../config/app-config.js';
import { Telemetry } from '../../telemetry/telemetry.js';
import type { BillingSession } from '../billing-session.js';
import { BillingJournal } from '../journal/billing-journal.service.js';
import { OutageCredit } from '../outage/outage-credit.service.js';
import { Settler } from '../settle/settler.service.js';
import { ChargeCalculator } from './charge-calculator.js';
import { FreeBillingSession } from './free-billing-session.js';
import type { SessionIdentity } from './held.js';
import { HoldTaker } from './hold-taker.js';
import { MeteredBillingSession, type SessionServices } from './metered-billing-session.js';
import { SettlementRecords } from './settlement-records.js';

/** What a request may still do when its time is over: read on to the provider's count, settle. */
const AFTERLIFE_MS = 600_000;

/** Opens the money side of requests, and knows those that hold money. */
@Injectable()
export class BillingSessions {
  /** When each began to hold, `performance.now()`. */
  readonly #holding = new Map<string, number>();
  readonly #services: SessionServices;

  constructor(
    taker: HoldTaker,
    charges: ChargeCalculator,
    records: SettlementRecords,
    settler: Settler,
    journal: BillingJournal,
    credit: OutageCredit,
    telemetry: Telemetry,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {
    this.#services = { taker, charges, records, settler, journal, credit, telemetry };
    telemetry.addGauge({ name: 'holds_open', read: () => this.#holding.size });
  }

  open(identity: SessionIdentity): BillingSession {
    if (!this.config.billing.enabled) return new FreeBillingSession(identity.billingId);
    return new MeteredBillingSession(identity, this.#services, {
      onHeld: () => void this.#holding.set(identity.billingId, performance.now()),
      onClosed: () => void this.#holding.delete(identity.billingId),
    });
  }

  /** Ids of the requests that hold money and run. */
  holdingIds(): string[] {
    return [...this.#holding.keys()];
  }

  /** Those of them that may still be running: what is older than any request may get was forgotten by somebody. */
  aliveIds(): string[] {
    const oldestMs = performance.now() - this.config.timeouts.requestMs - AFTERLIFE_MS;
    return [...this.#holding].filter(([, sinceMs]) => sinceMs > oldestMs).map(([id]) => id);
  }
}
