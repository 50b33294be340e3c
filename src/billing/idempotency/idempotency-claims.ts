import type { NanoUsd } from '@app/money';
import { Injectable } from '@nestjs/common';
import type { StoredResponse } from './stored-response.js';

export interface IdempotencyClaim {
  readonly key: string;
  readonly fingerprintHex: string;
  /** Makes the answer that a retry gets, when it is charged. */
  answerOf?: (costNano: NanoUsd) => StoredResponse;
  /** The answer that went the way of its charge: whatever happens now, a retry gets it. */
  kept?: StoredResponse;
}

/** Which running requests carry an Idempotency-Key: what the hold of such a request is stored with. */
@Injectable()
export class IdempotencyClaims {
  readonly #byBillingId = new Map<string, IdempotencyClaim>();

  set(billingId: string, claim: IdempotencyClaim): void {
    this.#byBillingId.set(billingId, claim);
  }

  /** Most often there is none at all, and no need to hash an id that nobody else looks up. */
  get(billingId: string): IdempotencyClaim | undefined {
    if (this.#byBillingId.size === 0) return undefined;
    return this.#byBillingId.get(billingId);
  }

  delete(billingId: string): void {
    this.#byBillingId.delete(billingId);
  }
}
