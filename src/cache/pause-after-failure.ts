const PAUSE_MS = 1000;

/** After a failure a store is left alone for a second: a frozen one must not cost every request its timeout. */
export class PauseAfterFailure {
  #untilMs = 0;

  /** @param onError  told of each failure that was not skipped */
  constructor(private readonly onError: () => void = () => undefined) {}

  /** @returns `undefined` when the work failed, or was not tried */
  async run<T>(work: () => Promise<T>): Promise<T | undefined> {
    if (performance.now() < this.#untilMs) return undefined;
    try {
      return await work();
    } catch {
      this.#untilMs = performance.now() + PAUSE_MS;
      this.onError();
      return undefined;
    }
  }
}
