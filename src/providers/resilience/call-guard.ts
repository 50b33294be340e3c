import { abortReason, type CallSignal, CallSwitch } from '@app/contracts';

type Reject = (reason: unknown) => void;

const nobody: Reject = () => undefined;

/**
 * The end of one call, whoever brings it about: the caller's signal, or one of our own limits. Gives the strategy one
 * signal, itself, and lets nobody wait on for a strategy that does not heed it.
 */
export class CallGuard extends CallSwitch {
  readonly #parent: CallSignal;
  /** Whoever waits for the call: one at a time, an attempt or an event after the other. */
  #waiting = nobody;
  #wholeLimit: NodeJS.Timeout | undefined;
  #stageLimit: NodeJS.Timeout | undefined;
  readonly #onParentAbort = (): void => this.abort(abortReason(this.#parent));

  constructor(parent: CallSignal) {
    super();
    this.#parent = parent;
    if (parent.aborted) this.#onParentAbort();
    else parent.addEventListener('abort', this.#onParentAbort, { once: true });
  }

  get signal(): CallSignal {
    return this;
  }

  /** Ends the call with this error, once. */
  override abort(reason: unknown): void {
    if (this.aborted) return;
    this.end();
    super.abort(reason);
    this.#waiting(reason);
    this.#waiting = nobody;
  }

  /** Lets go of timers and of the caller's signal. The call may not be aborted by them any more. */
  end(): void {
    this.#parent.removeEventListener('abort', this.#onParentAbort);
    clearTimeout(this.#wholeLimit);
    clearTimeout(this.#stageLimit);
  }

  /** Aborts the call with what `reason` says unless it has ended by then. */
  limitWhole(ms: number, reason: () => unknown): void {
    this.#wholeLimit = setTimeout(() => this.abort(reason()), ms);
  }

  /** Aborts the call with what `reason` says unless `endStage` is called by then. One stage at a time. */
  limitStage(ms: number, reason: () => unknown): void {
    this.#stageLimit = setTimeout(() => this.abort(reason()), ms);
  }

  /** Nobody waits any more for what the stage was to bring. */
  endStage(): void {
    clearTimeout(this.#stageLimit);
    this.#stageLimit = undefined;
    this.#waiting = nobody;
  }

  /** The work's result, or the reason of the abort, whichever is first. One work at a time. */
  race<T>(work: Promise<T>): Promise<T> {
    if (this.aborted) {
      work.catch(() => undefined);
      return Promise.reject(this.reason);
    }
    // What has been settled is not settled again, so nobody has to be told that the work is over.
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.#waiting = reject;
    work.then(resolve, reject);
    return promise;
  }

  async sleep(ms: number): Promise<void> {
    await this.race(new Promise<void>((resolve) => (this.#stageLimit = setTimeout(resolve, ms))));
    this.#stageLimit = undefined;
  }
}
