import type { StreamEnd } from './billed-stream.js';

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };

export interface ReplayHooks {
  /** Before the client can see the end. Awaited. */
  readonly onComplete?: (() => Promise<void>) | undefined;
  /** Called once at the end, whatever it was. */
  readonly onEnd: (end: StreamEnd) => void;
}

/**
 * A stored answer as a stream.
 *
 * An object with `next` and `return`, not a generator: one that was never started runs no `finally`, so `onEnd` would not be
 * called for a client that leaves before the first event.
 */
export class ReplayedStream implements AsyncIterableIterator<string> {
  #ended = false;

  constructor(
    private readonly events: Iterator<string>,
    private readonly hooks: ReplayHooks,
  ) {}

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<string>> {
    if (this.#ended) return DONE;
    try {
      const step = this.events.next();
      if (!step.done) return step;
      await this.hooks.onComplete?.();
    } catch (error) {
      this.#end({ kind: 'failed', error });
      throw error;
    }
    this.#end({ kind: 'complete' });
    return DONE;
  }

  return(): Promise<IteratorResult<string>> {
    this.#end({ kind: 'client-gone' });
    return Promise.resolve(DONE);
  }

  #end(end: StreamEnd): void {
    if (this.#ended) return;
    this.#ended = true;
    this.hooks.onEnd(end);
  }
}
