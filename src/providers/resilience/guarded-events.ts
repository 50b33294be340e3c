import { type ChatStreamEvent, type ProviderError, type ReadyEvents, readyEventsOf } from '@app/contracts';
import type { Deadlines, Timed } from '../../timing/deadlines.js';
import type { CallGuard } from './call-guard.js';

const DONE: IteratorResult<ChatStreamEvent> = Object.freeze({ done: true, value: undefined });

/** What the streams of a provider have in common. */
export interface StreamHooks<Guard extends CallGuard> {
  /** The longest pause while the reader waits. */
  readonly idleMs: number;
  readonly idleLimits: Deadlines;
  readonly onIdle: () => ProviderError;
  /** The error instead of `reason`, when the call ends while the reader is busy with what it has. */
  readonly onUnread: (reason: unknown) => unknown;
  /** Sees the error that broke the stream before anybody else does. */
  readonly onFailure: (error: unknown) => void;
  /** Called once, when nothing more can come. No failure: it ended well, or its reader gave it up. */
  readonly onOver: (guard: Guard, failure: StreamFailure | undefined) => void;
}

export interface StreamFailure {
  readonly error: unknown;
}

/**
 * A stream that has begun, on its way to the reader: its first event is already here, too long a pause ends it, and
 * `onOver` is called when nothing more can come, whatever the reader does.
 *
 * Pauses count only while the reader waits for the provider, so a slow reader is not taken for a slow provider.
 * An object and not a generator: `return` must work at once, even before the first `next` and during one.
 */
export class GuardedEvents<Guard extends CallGuard>
  implements AsyncIterableIterator<ChatStreamEvent>, ReadyEvents<ChatStreamEvent>, Timed
{
  dueAtMs = 0;
  checkAtMs = 0;
  earlier: Timed | undefined = undefined;
  later: Timed | undefined = undefined;
  readonly #ready: ReadyEvents<ChatStreamEvent>;
  #first: ChatStreamEvent | undefined;
  #pending: Promise<IteratorResult<ChatStreamEvent>> | undefined;
  /** The reader waits by `whenReady`. */
  #isAwaited = false;
  #isOver = false;
  #failure: StreamFailure | undefined;

  constructor(
    private readonly source: AsyncIterator<ChatStreamEvent>,
    private readonly guard: Guard,
    first: ChatStreamEvent,
    private readonly hooks: StreamHooks<Guard>,
  ) {
    this.#ready = readyEventsOf(source);
    this.#first = first;
    guard.addEventListener('abort', this);
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
    if (!this.#isAwaited) this.#limitPause();
    this.#isAwaited = false;
    return (this.#pending = this.#pull());
  }

  /** Bytes that make no event (a ping, a comment, half a chunk) end no pause. */
  takeReady(): ChatStreamEvent | undefined {
    const first = this.#takeFirst();
    if (first || this.#pending || this.#isOver) return first;
    const event = this.#ready.takeReady();
    if (event) this.#isAwaited = false;
    return event;
  }

  /** Whatever ends the stream closes the source, and that wakes the reader. */
  whenReady(wake: () => void): boolean {
    if (this.#first || this.#pending || this.#isOver || !this.#ready.whenReady(wake)) return false;
    if (!this.#isAwaited) this.#limitPause();
    this.#isAwaited = true;
    return true;
  }

  /** The reader stops: the upstream is closed and the slot free when this returns. */
  return(): Promise<IteratorResult<ChatStreamEvent>> {
    this.#first = undefined;
    if (!this.#isOver) {
      this.#over(undefined);
      this.guard.abort(new DOMException('The reader wants no more', 'AbortError'));
      this.#closeSource();
    }
    return Promise.resolve(DONE);
  }

  /** The call is aborted. */
  handleEvent(): void {
    const { reason } = this.guard;
    this.#fail(this.#isWaitedFor ? reason : this.hooks.onUnread(reason));
  }

  /** The pause was too long, if the reader is still waiting. */
  onDue(): void {
    if (this.#isWaitedFor) this.guard.abort(this.hooks.onIdle());
  }

  get #isWaitedFor(): boolean {
    return this.#pending !== undefined || this.#isAwaited;
  }

  #limitPause(): void {
    this.hooks.idleLimits.set(this, this.hooks.idleMs);
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
      if (!this.#isOver) this.#over(undefined);
      return DONE;
    } catch (error) {
      this.#fail(error);
      if (this.#failure) throw this.#failure.error;
      return DONE; // the reader gave up meanwhile
    } finally {
      this.#pending = undefined;
    }
  }

  #fail(error: unknown): void {
    if (this.#isOver) return;
    this.hooks.onFailure(error);
    this.#failure = { error };
    this.#over(this.#failure);
    this.#closeSource();
  }

  #over(failure: StreamFailure | undefined): void {
    this.#isOver = true;
    this.hooks.idleLimits.clear(this);
    this.guard.end();
    this.hooks.onOver(this.guard, failure);
  }

  #closeSource(): void {
    this.source.return?.().catch(() => undefined);
  }
}
