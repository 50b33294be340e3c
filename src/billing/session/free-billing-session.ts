import type { BillingSession, HoldResult, SettledCharge } from '../billing-session.js';

const EVERYTHING: HoldResult = { maxOutputTokens: undefined };

/** BILLING_ENABLED=false: everything is covered and costs nothing. */
export class FreeBillingSession implements BillingSession {
  #closed = false;

  constructor(readonly billingId: string) {}

  get closed(): boolean {
    return this.#closed;
  }

  hold(): HoldResult {
    return EVERYTHING;
  }

  covers(): true {
    return true;
  }

  attempt(): void {
    // nobody asks for the receipt
  }

  settle(): Promise<SettledCharge> {
    this.#closed = true;
    return Promise.resolve({ costNanoUsd: 0n });
  }
}
