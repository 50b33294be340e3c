interface Waiting<Item, Result> {
  readonly item: Item;
  resolve(result: Result | Promise<Result>): void;
  reject(error: unknown): void;
}

/**
 * Group commit without a timer: items that come while the process reads its sockets go together when it has read them
 * all, items that come while all slots are busy as soon as one is free. No latency when idle, large batches under load.
 */
export class NaturalBatcher<Item, Result> {
  readonly #queue: Waiting<Item, Result>[] = [];
  #inFlight = 0;
  #isDue = false;

  /**
   * @param run  one result per item, in the items' order; when it throws, every item of the batch gets the error. A
   *             result that takes longer is a promise: nobody else waits for it
   */
  constructor(
    private readonly run: (items: readonly Item[]) => Promise<readonly (Result | Promise<Result>)[]>,
    private readonly limits: { readonly batchSize: number; readonly inFlight: number },
  ) {}

  add(item: Item): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ item, resolve, reject });
      this.#pumpSoon();
    });
  }

  /** After the sockets that can be read now: a microtask would come after each of them. */
  #pumpSoon(): void {
    if (this.#isDue || this.#queue.length === 0 || this.#inFlight >= this.limits.inFlight) return;
    this.#isDue = true;
    setImmediate(() => {
      this.#isDue = false;
      this.#pump();
    });
  }

  #pump(): void {
    while (this.#queue.length > 0 && this.#inFlight < this.limits.inFlight) {
      this.#inFlight += 1;
      void this.#runBatch(this.#queue.splice(0, this.limits.batchSize)).finally(() => {
        this.#inFlight -= 1;
        this.#pumpSoon();
      });
    }
  }

  async #runBatch(batch: readonly Waiting<Item, Result>[]): Promise<void> {
    try {
      const results = await this.run(batch.map((entry) => entry.item));
      batch.forEach((entry, index) => {
        const result = results[index];
        if (result === undefined) entry.reject(new Error('a batch returned fewer results than it had items'));
        else entry.resolve(result);
      });
    } catch (error) {
      for (const entry of batch) entry.reject(error);
    }
  }
}
