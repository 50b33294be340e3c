import type { NanoUsd } from '@app/money';
import type { IdempotencyClaim } from './idempotency-claims.js';
import type { ClaimedKey, ResponseStore } from './response-store.js';
import type { StoredResponse } from './stored-response.js';

/** The right, and the duty, to execute the request behind a key. Ends once: with an answer, or without. */
export class IdempotencyTicket {
  #ended = false;

  constructor(
    private readonly key: ClaimedKey,
    private readonly claim: IdempotencyClaim,
    private readonly responses: ResponseStore,
    private readonly onEnd: (answer: StoredResponse | undefined) => void,
  ) {}

  /**
   * Says how to make the answer that a retry gets. It is stored along with its charge, in journal and database: call this
   * before the settlement, for an answer that is complete by then.
   */
  keeps(answerOf: (costNano: NanoUsd) => StoredResponse): void {
    this.claim.answerOf = answerOf;
  }

  /** Keeps an answer for whoever asks again. Call it before the last byte goes to the client. */
  async store(response: StoredResponse): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    if (!this.claim.kept) await this.responses.save(this.key, response);
    this.onEnd(this.claim.kept ?? response);
  }

  /** There is no answer worth keeping and nothing was charged: the key is free again. A charged one stays spent. */
  async abandon(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    if (!this.claim.kept) await this.responses.giveUp(this.key);
    this.onEnd(this.claim.kept);
  }
}
