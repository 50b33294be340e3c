import type { ReadyEvents } from '@app/contracts';
import type { Dispatcher } from 'undici';
import { GatheredBytes } from '@app/bytes';
import { ConnectionError } from './connection-failure.js';

/** Bytes kept for a reader that is slower than the sender, before the socket is paused. */
const HIGH_WATER_MARK_BYTES = 64 * 1024;
/** The status of a refusal is enough: of its text no more is read than this, nor for longer. */
export const REFUSAL_LIMITS = { maxBytes: 64 * 1024, patienceMs: 2000 } as const;
const SETTLED = Promise.resolve();
const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };

interface Waiter {
  resolve(result: IteratorResult<Uint8Array, undefined>): void;
  reject(reason: unknown): void;
}

/** The bytes of an answer as they arrive: an async iterable for the SDKs and for us. One consumer, read once. */
export class LightBody implements AsyncIterableIterator<Uint8Array, undefined>, ReadyEvents<Uint8Array> {
  /** What nobody has read yet: the next read takes all of it. */
  readonly #bytes = new GatheredBytes();
  #ended = false;
  #failure: { reason: unknown } | undefined;
  #waiter: Waiter | undefined;
  #wake: (() => void) | undefined;
  #used = false;

  constructor(private readonly controller: Dispatcher.DispatchController) {}

  /** Somebody has begun to read. */
  get used(): boolean {
    return this.#used;
  }

  push(chunk: Uint8Array): void {
    this.#wakeUp();
    const waiter = this.#takeWaiter();
    if (waiter) return waiter.resolve({ done: false, value: chunk });
    this.#bytes.add(chunk);
    if (this.#bytes.length >= HIGH_WATER_MARK_BYTES) this.controller.pause();
  }

  end(): void {
    this.#ended = true;
    this.#wakeUp();
    this.#takeWaiter()?.resolve(DONE);
  }

  /** The reader still gets what has arrived, then `reason`. */
  fail(reason: unknown): void {
    if (this.#ended || this.#failure) return;
    this.#failure = { reason };
    this.#wakeUp();
    this.#takeWaiter()?.reject(reason);
  }

  /** The caller wants no more: what has arrived is dropped and the upstream is closed. */
  abort(reason: Error): void {
    this.#bytes.take();
    this.fail(reason);
    if (!this.#ended) this.controller.abort(reason);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Uint8Array, undefined>> {
    const value = this.takeReady();
    if (value) return Promise.resolve({ done: false, value });
    if (this.#failure) return Promise.reject(this.#failure.reason);
    if (this.#ended) return Promise.resolve(DONE);
    if (this.#waiter) return Promise.reject(new TypeError('the body is being read already'));
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject };
    });
  }

  takeReady(): Uint8Array | undefined {
    this.#used = true;
    if (this.#bytes.length === 0) return undefined;
    const value = this.#bytes.take();
    // At once there may be more.
    if (value.length >= HIGH_WATER_MARK_BYTES && !this.#ended) this.controller.resume();
    return value;
  }

  whenReady(wake: () => void): boolean {
    if (this.#ended || this.#failure || this.#bytes.length > 0 || this.#wake) return false;
    this.#wake = wake;
    return true;
  }

  return(): Promise<IteratorReturnResult<undefined>> {
    this.#used = true;
    this.abort(new ConnectionError('other', 'unknown', 'BODY_CANCELLED'));
    return Promise.resolve(DONE);
  }

  /**
   * All bytes.
   *
   * @throws ConnectionError `body_too_large` as soon as there are more than `maxBytes`; the upstream is closed
   */
  async readAll(maxBytes: number): Promise<Buffer> {
    const bytes = new GatheredBytes();
    for (;;) {
      const { done, value } = await this.next();
      if (done) return bytes.take();
      bytes.add(value);
      if (bytes.length > maxBytes) throw this.#tooLarge();
    }
  }

  /** A refusal's text within `REFUSAL_LIMITS`; the upstream is closed if there is more. */
  async readRefusal(): Promise<Buffer> {
    const { maxBytes, patienceMs } = REFUSAL_LIMITS;
    const bytes = new GatheredBytes();
    const timer = setTimeout(() => void this.return(), patienceMs);
    try {
      while (bytes.length < maxBytes) {
        const { done, value } = await this.next();
        if (done) break;
        bytes.add(value);
      }
    } catch {
      // Cut, or too late.
    }
    clearTimeout(timer);
    if (!this.#ended && !this.#failure) void this.return();
    return bytes.take().subarray(0, maxBytes);
  }

  #tooLarge(): ConnectionError {
    const error = new ConnectionError('body_too_large', 'unknown', undefined);
    this.abort(error);
    return error;
  }

  #wakeUp(): void {
    const wake = this.#wake;
    if (!wake) return;
    this.#wake = undefined;
    // After all that came in the same packet.
    void SETTLED.then(wake);
  }

  #takeWaiter(): Waiter | undefined {
    const waiter = this.#waiter;
    this.#waiter = undefined;
    return waiter;
  }
}
