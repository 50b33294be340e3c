import { Injectable } from '@nestjs/common';

export interface IdempotencyClaim {
  readonly key: string;
  readonly fingerprintHex: string;
}

/** Which running requests carry an Idempotency-Key: what the hold of such a request is stored with. */
@Injectable()
export class IdempotencyClaims {
  readonly #byBillingId = new Map<string, IdempotencyClaim>();

  set(billingId: string, claim: IdempotencyClaim): void {
    this.#byBillingId.set(billingId, claim);
  }

  get(billingId: string): IdempotencyClaim | undefined {
    return this.#byBillingId.get(billingId);
  }

  delete(billingId: string): void {
    this.#byBillingId.delete(billingId);
  }
}
