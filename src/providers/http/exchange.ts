import type { IncomingHttpHeaders } from 'node:http';
import { abortReason, type CallSignal } from '@app/contracts';
import type { Dispatcher } from 'undici';
import { GatheredBytes } from '@app/bytes';
import { ConnectionError, noteUnsent, toConnectionError } from './connection-failure.js';
import { LightBody, REFUSAL_LIMITS } from './light-body.js';
import { isSuccess, LightAnswer, LightResponse } from './light-response.js';

export interface ResponseOptions {
  readonly href: string;
  readonly signal: CallSignal | undefined;
  /** Most bytes of a body that is read whole after all. */
  readonly maxBodyBytes: number;
}

/**
 * One request, resolved as soon as its answer begins.
 *
 * @throws ConnectionError, or the signal's reason
 */
export function exchangeForResponse(
  dispatcher: Dispatcher,
  request: Dispatcher.DispatchOptions,
  options: ResponseOptions,
): Promise<LightResponse> {
  const waiting = Promise.withResolvers<LightResponse>();
  new ResponseExchange(waiting, options).start(dispatcher, request);
  return waiting.promise;
}

/**
 * One request, resolved when all of its answer is there: one promise for everything.
 *
 * @throws as `exchangeForResponse`; ConnectionError `body_too_large` as soon as there are more than `maxBodyBytes`
 */
export function exchangeForAnswer(
  dispatcher: Dispatcher,
  request: Dispatcher.DispatchOptions,
  signal: CallSignal,
  maxBodyBytes: number,
): Promise<LightAnswer> {
  const waiting = Promise.withResolvers<LightAnswer>();
  new AnswerExchange(waiting, signal, maxBodyBytes).start(dispatcher, request);
  return waiting.promise;
}

interface Waiting<Result> {
  resolve(result: Result): void;
  reject(reason: unknown): void;
}

/** One request: undici's callbacks -> the caller's promise. */
abstract class Exchange<Result> implements Dispatcher.DispatchHandler {
  #waiting: Waiting<Result> | undefined;
  readonly #signal: CallSignal | undefined;
  #controller: Dispatcher.DispatchController | undefined;
  #aborted = false;

  constructor(waiting: Waiting<Result>, signal: CallSignal | undefined) {
    this.#waiting = waiting;
    this.#signal = signal;
  }

  start(dispatcher: Dispatcher, request: Dispatcher.DispatchOptions): void {
    if (this.#signal?.aborted) return this.fail(this.#signal.reason);
    this.#signal?.addEventListener('abort', this, { once: true });
    try {
      dispatcher.dispatch(request, this);
    } catch (error) {
      this.fail(error);
    }
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#aborted) controller.abort(abortReason(this.#signal));
  }

  abstract onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: IncomingHttpHeaders,
    statusText?: string,
  ): void;
  abstract onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void;

  onResponseEnd(): void {
    this.#signal?.removeEventListener('abort', this);
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.fail(
      this.#aborted ? abortReason(this.#signal) : asConnectionError(error, this.#controller !== undefined),
    );
  }

  protected get isAborted(): boolean {
    return this.#aborted;
  }

  /** Nobody is waiting for a result any more. */
  protected get isSettled(): boolean {
    return this.#waiting === undefined;
  }

  protected succeed(result: Result): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.resolve(result);
  }

  protected fail(reason: unknown): void {
    this.#signal?.removeEventListener('abort', this);
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.reject(reason);
  }

  /** The caller wants no more. */
  protected abandon(reason: Error): void {
    this.#controller?.abort(reason);
  }

  /** The call is aborted. */
  handleEvent(): void {
    this.#aborted = true;
    const reason = abortReason(this.#signal);
    if (!this.#controller) noteUnsent(reason);
    this.abandon(reason);
    this.fail(reason);
  }
}

class ResponseExchange extends Exchange<LightResponse> {
  readonly #href: string;
  readonly #maxBodyBytes: number;
  #body: LightBody | undefined;

  constructor(waiting: Waiting<LightResponse>, { href, signal, maxBodyBytes }: ResponseOptions) {
    super(waiting, signal);
    this.#href = href;
    this.#maxBodyBytes = maxBodyBytes;
  }

  override onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: IncomingHttpHeaders,
    statusText = '',
  ): void {
    if (status < 200 || this.isSettled) return;
    // Each raw header is a view of the packet that it came in, which a long stream would keep alive.
    controller.rawHeaders = null;
    this.#body = new LightBody(controller);
    this.succeed(new LightResponse(this.#href, status, statusText, headers, this.#body, this.#maxBodyBytes));
  }

  override onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#body?.push(chunk);
  }

  override onResponseEnd(): void {
    super.onResponseEnd();
    this.#body?.end();
  }

  protected override fail(reason: unknown): void {
    super.fail(reason);
    this.#body?.fail(reason);
  }

  protected override abandon(reason: Error): void {
    if (this.#body) this.#body.abort(reason);
    else super.abandon(reason);
  }
}

class AnswerExchange extends Exchange<LightAnswer> {
  readonly #maxBodyBytes: number;
  #status = 0;
  #headers: IncomingHttpHeaders | undefined;
  readonly #bytes = new GatheredBytes();
  #refusalLimit: NodeJS.Timeout | undefined;

  constructor(waiting: Waiting<LightAnswer>, signal: CallSignal, maxBodyBytes: number) {
    super(waiting, signal);
    this.#maxBodyBytes = maxBodyBytes;
  }

  override onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: IncomingHttpHeaders,
  ): void {
    if (status < 200) return;
    this.#status = status;
    this.#headers = headers;
    if (!this.#isRefusal) return;
    this.#refusalLimit = setTimeout(() => this.#cut(controller), REFUSAL_LIMITS.patienceMs);
  }

  override onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytes.add(chunk);
    if (this.#bytes.length > this.#maxBodyBytes) return this.#refuse(controller);
    if (this.#bytes.length > REFUSAL_LIMITS.maxBytes && this.#isRefusal) this.#cut(controller);
  }

  override onResponseEnd(): void {
    super.onResponseEnd();
    clearTimeout(this.#refusalLimit);
    this.succeed(new LightAnswer(this.#status, this.#headers ?? {}, this.#bytes.take()));
  }

  /** The status of a refusal is enough: its text may be cut. */
  override onResponseError(controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#isRefusal && !this.isSettled && !this.isAborted) this.onResponseEnd();
    else super.onResponseError(controller, error);
  }

  protected override fail(reason: unknown): void {
    clearTimeout(this.#refusalLimit);
    super.fail(reason);
  }

  get #isRefusal(): boolean {
    return this.#status > 0 && !isSuccess(this.#status);
  }

  #refuse(controller: Dispatcher.DispatchController): void {
    const error = new ConnectionError('body_too_large', 'unknown', undefined);
    this.fail(error);
    controller.abort(error);
  }

  /** Enough of the refusal has been read. */
  #cut(controller: Dispatcher.DispatchController): void {
    this.onResponseEnd();
    controller.abort(new ConnectionError('other', 'unknown', 'BODY_CANCELLED'));
  }
}

function asConnectionError(error: Error, begun: boolean): ConnectionError {
  return error instanceof ConnectionError ? error : toConnectionError(error, begun);
}
