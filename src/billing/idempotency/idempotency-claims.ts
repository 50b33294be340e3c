import type { NanoUsd } from '@app/money';
import { Injectable } from '@nestjs/common';
import type { StoredResponse } from './stored-response.js';

export interface IdempotencyClaim {
  readonly key: string;
  readonly fingerprintHex: string;
  /** Makes the answer that a retry gets, when it is charged. */
  answerOf?: (costNano: NanoUsd) => StoredResponse;
  /** The answer that was stored along with its charge: whatever happens now, a retry gets it. */
  kept?: StoredResponse;
}

/** The Idempotency-Keys of running requests. */
@Injectable()
export class IdempotencyClaims {
  readonly #byBillingId = new Map<string, IdempotencyClaim>();

  set(billingId: string, claim: IdempotencyClaim): void {
    this.#byBillingId.set(billingId, claim);
  }

  /** Mostly there is none at all: then the id need not be hashed. */
  get(billingId: string): IdempotencyClaim | undefined {
    if (this.#byBillingId.size === 0) return undefined;
    return this.#byBillingId.get(billingId);
  }

  delete(billingId: string): void {
    this.#byBillingId.delete(billingId);
  }
}
