import { crashPoint } from '../crash-points.js';
import type { ClaimedKey, ResponseStore } from './response-store.js';
import type { StoredResponse } from './stored-response.js';

/** The right, and the duty, to execute the request behind a key. Ends once: with an answer, or without. */
export class IdempotencyTicket {
  #ended = false;

  constructor(
    private readonly claim: ClaimedKey,
    private readonly responses: ResponseStore,
    private readonly onEnd: (answer: StoredResponse | undefined) => void,
  ) {}

  /** Keeps the answer for whoever asks again. Call it before the last byte goes to the client. */
  async store(response: StoredResponse): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    crashPoint('before-answer-stored');
    await this.responses.save(this.claim, response);
    crashPoint('after-answer-stored');
    this.onEnd(response);
  }

  /** There is no answer worth keeping and nothing was charged: the key is free again. A charged one stays spent. */
  async abandon(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    await this.responses.giveUp(this.claim);
    this.onEnd(undefined);
  }
}
