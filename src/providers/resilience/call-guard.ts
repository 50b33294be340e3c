import { abortReason, type CallSignal, CallSwitch } from '@app/contracts';
import type { Deadlines, Timed } from '../../timing/deadlines.js';

type Reject = (reason: unknown) => void;

const nobody: Reject = () => undefined;

/**
 * Ends one call, for whatever reason: the caller's signal, or one of our own limits. It is itself the strategy's signal, and
 * nobody waits any longer for a strategy that ignores it.
 */
export class CallGuard extends CallSwitch implements Timed {
  readonly #parent: CallSignal;
  /** Rejects the promise of whoever is waiting: one at a time, for an attempt or an event. */
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

  /** Lets go of timers and of the caller's signal, which can no longer abort the call. */
  end(): void {
    this.#parent.removeEventListener('abort', this);
    this.#wholeLimits?.clear(this);
    clearTimeout(this.#stageLimit);
  }

  /** Aborts the call with `lateReason` unless it has ended by then. */
  limitWhole(limits: Deadlines, ms: number): void {
    if (this.aborted) return;
    this.#wholeLimits = limits;
    limits.set(this, ms);
  }

  /** For the list of deadlines. */
  onDue(): void {
    this.abort(this.lateReason());
  }

  /** Aborts the call with `reason` unless `endStage` is called by then. One stage at a time. */
  limitStage(ms: number, reason: () => unknown): void {
    this.#stageLimit = setTimeout(() => this.abort(reason()), ms);
  }

  /** Nobody is waiting for the stage any more. */
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
    // `reject` may stay behind: a promise that is settled is not settled again.
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.#waiting = reject;
    work.then(resolve, reject);
    return promise;
  }

  async sleep(ms: number): Promise<void> {
    await this.race(new Promise<void>((resolve) => (this.#stageLimit = setTimeout(resolve, ms))));
    this.#stageLimit = undefined;
  }

  /** Why a call is aborted that takes too long as a whole. */
  protected lateReason(): unknown {
    return new DOMException('The call takes too long', 'TimeoutError');
  }
}
