/**
 * What ends a call before its time: the part of an AbortSignal that whoever works on the call needs. Every AbortSignal
 * is one; whoever needs a whole one, as the SDKs do, asks `abortSignalOf`.
 */
export interface CallSignal {
  readonly aborted: boolean;
  /** Once aborted, why. */
  readonly reason: unknown;
  addEventListener(type: 'abort', listener: AbortListener, options?: { once?: boolean }): void;
  removeEventListener(type: 'abort', listener: AbortListener): void;
}

/** A function, or an object that is told without one, as EventTarget has it: a closure less for who lives long. */
export type AbortListener = (() => void) | { handleEvent(): void };

/**
 * The one who ends a call, and its signal. An AbortController with its signal, its event and the maps of their
 * listeners costs each call more than a kilobyte; this is a flag and a list.
 */
export class CallSwitch implements CallSignal {
  #aborted = false;
  #reason: unknown;
  /** Most calls have one or two. */
  #listeners: AbortListener | AbortListener[] | undefined;

  get aborted(): boolean {
    return this.#aborted;
  }

  get reason(): unknown {
    return this.#reason;
  }

  /** Each listener is called once, at the abort. */
  addEventListener(_type: 'abort', listener: AbortListener): void {
    if (this.#aborted) return;
    if (this.#listeners === undefined) this.#listeners = listener;
    else if (Array.isArray(this.#listeners)) this.#listeners.push(listener);
    else this.#listeners = [this.#listeners, listener];
  }

  removeEventListener(_type: 'abort', listener: AbortListener): void {
    if (this.#listeners === listener) this.#listeners = undefined;
    else if (Array.isArray(this.#listeners)) {
      this.#listeners = this.#listeners.filter((other) => other !== listener);
    }
  }

  abort(reason: unknown = new DOMException('This operation was aborted', 'AbortError')): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#reason = reason;
    const listeners = this.#listeners;
    this.#listeners = undefined;
    if (Array.isArray(listeners)) for (const listener of listeners) tell(listener);
    else if (listeners) tell(listeners);
  }
}

function tell(listener: AbortListener): void {
  if (typeof listener === 'function') listener();
  else listener.handleEvent();
}

/** The same as an AbortSignal. */
export function abortSignalOf(signal: CallSignal): AbortSignal {
  if (signal instanceof AbortSignal) return signal;
  if (signal.aborted) return AbortSignal.abort(signal.reason);
  const controller = new AbortController();
  signal.addEventListener('abort', () => controller.abort(signal.reason));
  return controller.signal;
}

/** What an aborted signal stands for: its reason when it is an error, else an AbortError. */
export function abortReason(signal: CallSignal | undefined): Error {
  const reason: unknown = signal?.reason;
  return reason instanceof Error ? reason : new DOMException('This operation was aborted', 'AbortError');
}
