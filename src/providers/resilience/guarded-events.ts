import { type ChatStreamEvent, type ProviderError, type ReadyEvents, readyEventsOf } from '@app/contracts';
import type { CallGuard } from './call-guard.js';

const DONE: IteratorResult<ChatStreamEvent> = Object.freeze({ done: true, value: undefined });

export interface StreamHooks {
  /** The longest pause while the reader waits. */
  readonly idleMs: number;
  readonly onIdle: () => ProviderError;
  /** Sees what broke the stream before anybody else does. */
  readonly onFailure: (error: unknown) => void;
}

/**
 * A stream that has begun, on its way to the reader: its first event is already here, a pause that is too long ends
 * it, and `ended` tells when nothing more can come, whatever the reader does.
 *
 * The pause is counted only while the reader waits for the provider, so a slow reader is not taken for a slow provider.
 * An object and not a generator: `return` must work at once, also before the first `next` and during one.
 */
export class GuardedEvents implements AsyncIterableIterator<ChatStreamEvent>, ReadyEvents<ChatStreamEvent> {
  /** Resolves when the stream ended well or was given up by its reader; rejects with what broke it. */
  readonly ended: Promise<void>;
  #resolveEnded: () => void = () => undefined;
  #rejectEnded: (error: unknown) => void = () => undefined;
  readonly #ready: ReadyEvents<ChatStreamEvent>;
  #first: ChatStreamEvent | undefined;
  #pending: Promise<IteratorResult<ChatStreamEvent>> | undefined;
  /** The reader waits by `untilReady`. */
  #isAwaited = false;
  #isOver = false;
  #failure: { readonly error: unknown } | undefined;
  readonly #idleTimer: NodeJS.Timeout;

  constructor(
    private readonly source: AsyncIterator<ChatStreamEvent>,
    private readonly guard: CallGuard,
    first: ChatStreamEvent,
    private readonly hooks: StreamHooks,
  ) {
    this.#ready = readyEventsOf(source);
    this.#first = first;
    this.ended = new Promise((resolve, reject) => {
      this.#resolveEnded = resolve;
      this.#rejectEnded = reject;
    });
    this.#idleTimer = setTimeout(() => {
      if (this.#pending || this.#isAwaited) this.guard.abort(hooks.onIdle());
    }, hooks.idleMs);
    guard.addEventListener('abort', () => this.#fail(guard.reason));
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<ChatStreamEvent>> {
    const first = this.#takeFirst();
    if (first) return Promise.resolve({ done: false, value: first });
    if (this.#pending) return this.#pending.then(() => this.next());
    if (this.#failure) return Promise.reject(this.#failure.error);
    if (this.#isOver) return Promise.resolve(DONE);
    this.#isAwaited = false;
    this.#idleTimer.refresh();
    return (this.#pending = this.#pull());
  }

  /** Nobody waits for the provider here, so the pause is not looked at. */
  takeReady(): ChatStreamEvent | undefined {
    const first = this.#takeFirst();
    if (first || this.#pending || this.#isOver) return first;
    this.#isAwaited = false;
    return this.#ready.takeReady();
  }

  /** Whatever ends the stream closes the source, which wakes who waits for it. */
  untilReady(): Promise<void> | undefined {
    if (this.#first || this.#pending || this.#isOver) return undefined;
    const ready = this.#ready.untilReady();
    if (!ready) return undefined;
    this.#isAwaited = true;
    this.#idleTimer.refresh();
    return ready;
  }

  /** The reader wants no more: the upstream is closed and the slot is free when this returns. */
  return(): Promise<IteratorResult<ChatStreamEvent>> {
    this.#first = undefined;
    if (!this.#isOver) {
      this.#over();
      this.#resolveEnded();
      this.guard.abort(new DOMException('The reader wants no more', 'AbortError'));
      this.#closeSource();
    }
    return Promise.resolve(DONE);
  }

  #takeFirst(): ChatStreamEvent | undefined {
    const first = this.#first;
    this.#first = undefined;
    return first;
  }

  async #pull(): Promise<IteratorResult<ChatStreamEvent>> {
    try {
      const step = await this.guard.race(this.source.next());
      if (!step.done) return step;
      this.#over();
      this.#resolveEnded();
      return DONE;
    } catch (error) {
      this.#fail(error);
      if (this.#failure) throw this.#failure.error;
      return DONE; // given up by the reader meanwhile
    } finally {
      this.#pending = undefined;
    }
  }

  #fail(error: unknown): void {
    if (this.#isOver) return;
    this.hooks.onFailure(error);
    this.#over();
    this.#failure = { error };
    this.#rejectEnded(error);
    this.#closeSource();
  }

  #over(): void {
    this.#isOver = true;
    clearTimeout(this.#idleTimer);
    this.guard.end();
  }

  #closeSource(): void {
    this.source.return?.().catch(() => undefined);
  }
}
