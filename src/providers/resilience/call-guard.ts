import { abortReason, type CallSignal, CallSwitch } from '@app/contracts';
import type { Deadlines, Timed } from '../../timing/deadlines.js';

type Reject = (reason: unknown) => void;

const nobody: Reject = () => undefined;

/**
 * The end of one call, whoever brings it about: the caller's signal, or one of our own limits. Gives the strategy one
 * signal, itself, and lets nobody wait on for a strategy that does not heed it.
 */
export class CallGuard extends CallSwitch implements Timed {
  readonly #parent: CallSignal;
  /** Whoever waits for the call: one at a time, an attempt or an event after the other. */
  #waiting = nobody;
  #wholeLimits: Deadlines | undefined;
  #stageLimit: NodeJS.Timeout | undefined;
  dueAtMs = 0;
  checkAtMs = 0;
  earlier: Timed | undefined = undefined;
  later: Timed | undefined = undefined;

  constructor(parent: CallSignal) {
    super();
    this.#parent = parent;
    if (parent.aborted) this.handleEvent();
    else parent.addEventListener('abort', this, { once: true });
  }

  get signal(): CallSignal {
    return this;
  }

  /** The caller's signal is aborted. */
  handleEvent(): void {
    this.abort(abortReason(this.#parent));
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
    this.#parent.removeEventListener('abort', this);
    this.#wholeLimits?.clear(this);
    clearTimeout(this.#stageLimit);
  }

  /** Aborts the call with what `lateReason` says unless it has ended by then. */
  limitWhole(limits: Deadlines, ms: number): void {
    if (this.aborted) return;
    this.#wholeLimits = limits;
    limits.set(this, ms);
  }

  /** For the list of deadlines. */
  onDue(): void {
    this.abort(this.lateReason());
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

  /** What a call is aborted with that takes too long in all. */
  protected lateReason(): unknown {
    return new DOMException('The call takes too long', 'TimeoutError');
  }
}
