interface Waiting<Item, Result> {
  readonly item: Item;
  resolve(result: Result): void;
  reject(error: unknown): void;
}

/**
 * Group commit without a timer: an item that finds a free slot goes at once, items that come while all slots are busy go
 * together as soon as one is free. No latency when idle, large batches under load.
 */
export class NaturalBatcher<Item, Result> {
  readonly #queue: Waiting<Item, Result>[] = [];
  #inFlight = 0;

  /**
   * @param run  one result per item, in the items' order; when it throws, every item of the batch gets the error
   */
  constructor(
    private readonly run: (items: readonly Item[]) => Promise<readonly Result[]>,
    private readonly limits: { readonly batchSize: number; readonly inFlight: number },
  ) {}

  add(item: Item): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ item, resolve, reject });
      // After the current turn, so that items added together go together.
      if (this.#queue.length === 1) queueMicrotask(() => this.#pump());
    });
  }

  #pump(): void {
    while (this.#queue.length > 0 && this.#inFlight < this.limits.inFlight) {
      this.#inFlight += 1;
      void this.#runBatch(this.#queue.splice(0, this.limits.batchSize)).finally(() => {
        this.#inFlight -= 1;
        this.#pump();
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
