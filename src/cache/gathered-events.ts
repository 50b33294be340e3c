import type { ChatStreamEvent } from '@app/contracts';

/** The events of a stream on their way, until it is known whether they are worth keeping: at most what would be stored. */
export class GatheredEvents {
  #events: ChatStreamEvent[] | undefined = [];
  #leftBytes: number;

  constructor(maxBytes: number) {
    this.#leftBytes = maxBytes;
  }

  /** `undefined` when there were too many. */
  get events(): readonly ChatStreamEvent[] | undefined {
    return this.#events;
  }

  /** @returns false when it is too much: nothing is kept, and nobody should wait for it */
  add(event: ChatStreamEvent): boolean {
    this.#leftBytes -= event.json.length + event.outputText.length;
    if (this.#leftBytes < 0) this.#events = undefined;
    this.#events?.push(event);
    return this.#events !== undefined;
  }
}
