/** Wishes that are made until it is told to stop, and each tried until it has an answer. */
export abstract class UntilTold {
  #stopped = false;
  #giveUpAtMs = Number.POSITIVE_INFINITY;
  #running: Promise<unknown> = Promise.resolve();

  protected get stopped(): boolean {
    return this.#stopped;
  }

  protected get giveUpAtMs(): number {
    return this.#giveUpAtMs;
  }

  /** @param loops  each goes on until `stopped`, and tries nothing beyond `giveUpAtMs` */
  protected run(loops: readonly Promise<void>[]): void {
    this.#running = Promise.all(loops);
  }

  /** No new wishes; those that are open are tried until they have an answer, or time is up. */
  async finish(timeoutMs: number): Promise<void> {
    this.#stopped = true;
    this.#giveUpAtMs = Date.now() + timeoutMs;
    await this.#running;
  }

  /** Stops in the middle of everything. */
  abandon(): void {
    this.#stopped = true;
    this.#giveUpAtMs = 0;
  }
}
