import {
  type ChatStreamEvent,
  chunksOf,
  GatewayError,
  type ProviderStream,
  type ReadyEvents,
  readyEventsOf,
  RUN_SEPARATOR,
  type Usage,
} from '@app/contracts';
import type {
  BillingSession,
  QuoteTarget,
  SettledCharge,
  Settlement,
} from '../../billing/billing-session.js';
import { UnreadAnswer } from '../../providers/resilience/resilience-errors.js';
import type { CompletionRun } from '../completion-run.js';
import { lengthChunk, usageChunk } from './closing-chunks.js';
import type { DrainPool } from './drain-pool.js';
import { GatheredText } from './gathered-text.js';
import { ownUsage } from './own-usage.js';

export interface BilledStreamParts {
  readonly run: CompletionRun;
  readonly stream: ProviderStream;
  readonly target: QuoteTarget;
  readonly billing: BillingSession;
  /** The upstream call, and what ended it. */
  readonly upstream: { abort(): void; readonly reason: unknown };
  readonly cancelStopsBilling: boolean;
  /** The answer is kept for a retry (Idempotency-Key): it is read to its end even without a client. */
  readonly keepsAnswer?: boolean;
  readonly drains: DrainPool;
  /** Called with every event as the provider sent it, one chunk each. */
  readonly onUpstreamEvent?: ((event: ChatStreamEvent) => void) | undefined;
  /** Called with every event's JSON that the client gets (idempotent transcript, response cache). */
  readonly onEvent?: ((json: string) => void) | undefined;
  /** Called once, after settlement and before the client can see the end. Awaited. */
  readonly onComplete?: (() => Promise<void>) | undefined;
  /** Called once at the end, whatever it was. */
  readonly onEnd: (end: StreamEnd) => void;
}

export type StreamEnd =
  { readonly kind: 'complete' | 'client-gone' } | { readonly kind: 'failed'; readonly error: unknown };

/**
 * A provider's stream on its way to the client, with its money.
 *
 * Every ending has its price, and the price is booked before the client can see the end:
 * - complete: the provider's usage, else our own count;
 * - the client left: abort and count what came; or, if the provider bills to the end anyway, read on to its usage;
 * - the client left, and a retry with its Idempotency-Key is to get the answer: read on to the end in any case;
 * - the provider failed, or a shutdown cut the stream: nothing, the hold is released, and the operator gets a row;
 * - the client was too slow for the time allowed: as if it had left, or an answer read slowly to its last line would be free;
 * - the next slice of a long answer is not covered: cut with `finish_reason: "length"`, what came is charged.
 *
 * An object with `next` and `return`, not a generator: a generator that was never started runs no `finally`.
 */
export class BilledStream implements AsyncIterableIterator<string>, ReadyEvents<string> {
  readonly #parts: BilledStreamParts;
  readonly #events: AsyncIterator<ChatStreamEvent>;
  readonly #ready: ReadyEvents<ChatStreamEvent>;
  readonly #outputText = new GatheredText();
  #outputBytes = 0;
  #usage: Usage | undefined;
  #usageIsFinal = false;
  #isUncovered = false;
  /** It is not known yet whether what came is covered; what comes next has to wait. */
  #covering: Promise<void> | undefined;
  #coverFailure: { readonly error: unknown } | undefined;
  /** The last chunk before the question whether there is money for more: the model of a closing chunk. */
  #coveredJson = '';
  /** What the reader waits for. If it leaves meanwhile, the drain takes the event. */
  #pending: Promise<IteratorResult<ChatStreamEvent>> | undefined;
  #ended = false;
  #settling: Promise<SettledCharge> | undefined;

  constructor(parts: BilledStreamParts) {
    this.#parts = parts;
    this.#events = parts.stream.events[Symbol.asyncIterator]();
    this.#ready = readyEventsOf(this.#events);
    const { clientGone } = parts.run.context;
    if (clientGone.aborted) this.handleEvent();
    else clientGone.addEventListener('abort', this, { once: true });
  }

  /** The client has left. */
  handleEvent(): void {
    void this.#abandon();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<string>> {
    while (!this.#ended) {
      if (this.#covering) await this.#covering;
      if (this.#coverFailure) throw await this.#failed(this.#coverFailure.error);
      if (this.#isUncovered) return this.#cutForMoney();
      let step: IteratorResult<ChatStreamEvent>;
      try {
        step = await this.#nextEvent();
      } catch (error) {
        if (this.#ended) break;
        throw await this.#failed(error);
      }
      if (this.#ended) break;
      if (step.done) {
        await this.#complete();
        break;
      }
      const json = this.#take(step.value);
      if (this.#covering) await this.#covering;
      if (json !== undefined) return { done: false, value: json };
    }
    return { done: true, value: undefined };
  }

  takeReady(): string | undefined {
    while (this.#isFlowing) {
      const event = this.#ready.takeReady();
      if (!event) return undefined;
      const json = this.#take(event);
      if (json !== undefined) return json;
    }
    return undefined;
  }

  whenReady(wake: () => void): boolean {
    return this.#isFlowing && this.#ready.whenReady(wake);
  }

  /** No settlement, and no question of cover, comes before the next event. */
  get #isFlowing(): boolean {
    return !this.#ended && !this.#covering && !this.#coverFailure && !this.#isUncovered;
  }

  /** The reader stopped before the end: as if the client had left. */
  async return(): Promise<IteratorResult<string>> {
    await this.#abandon();
    return { done: true, value: undefined };
  }

  async #nextEvent(): Promise<IteratorResult<ChatStreamEvent>> {
    this.#pending = this.#events.next();
    try {
      return await this.#pending;
    } finally {
      this.#pending = undefined;
    }
  }

  /** @returns what the client gets of the event */
  #take(event: ChatStreamEvent): string | undefined {
    this.#track(event);
    // Slices are held ahead, so what has come is still covered: it goes out, and the next step is the cut.
    const covered = this.#parts.billing.covers(Math.ceil(this.#outputBytes / 2));
    if (covered !== true) {
      this.#coveredJson = event.json;
      this.#covering = this.#noteCover(covered);
    }
    if (event.usageOnly && !this.#parts.run.includeUsage) return undefined;
    return this.#show(event.json);
  }

  /** Never rejects: nobody may be waiting for it yet. */
  async #noteCover(covered: Promise<boolean>): Promise<void> {
    try {
      if (await covered) this.#coveredJson = '';
      else this.#isUncovered = true;
    } catch (error) {
      this.#coverFailure = { error };
    } finally {
      this.#covering = undefined;
    }
  }

  #track(event: ChatStreamEvent): void {
    const { run } = this.#parts;
    run.noteFirstChunk();
    if (this.#parts.onUpstreamEvent) for (const one of eventsOf(event)) this.#parts.onUpstreamEvent(one);
    if (event.outputText !== '') {
      this.#outputText.add(event.outputText);
      this.#outputBytes += Buffer.byteLength(event.outputText);
    }
    if (event.finishReason) run.finishReason = event.finishReason;
    if (event.usage) {
      this.#usage = event.usage;
      // Some providers count from the first event on; only a count at or after the finish is that of the whole answer.
      this.#usageIsFinal = run.finishReason !== undefined;
    }
  }

  #show(json: string): string {
    if (this.#parts.onEvent) for (const chunk of chunksOf(json)) this.#parts.onEvent(chunk);
    return json;
  }

  async #complete(): Promise<void> {
    if (this.#end()) await this.#conclude();
  }

  /** @param onSettled  writes what is still missing, before the answer is kept */
  async #conclude(onSettled?: () => void): Promise<void> {
    try {
      await this.#settleUsage();
      onSettled?.();
      await this.#parts.onComplete?.();
    } catch (error) {
      this.#parts.onEnd({ kind: 'failed', error });
      throw error;
    }
    this.#parts.onEnd({ kind: 'complete' });
  }

  /** @returns the same error, to be thrown */
  async #failed(error: unknown): Promise<unknown> {
    if (!this.#end()) return error;
    try {
      if (error instanceof UnreadAnswer && !this.#parts.keepsAnswer) await this.#settleUsage();
      else await this.#settle(releaseAfter(error, 'internal_error'));
    } finally {
      this.#parts.onEnd({ kind: 'failed', error });
    }
    return error;
  }

  async #cutForMoney(): Promise<IteratorResult<string>> {
    if (!this.#end()) return { done: true, value: undefined };
    let shown = this.#cut();
    await this.#conclude(() => {
      const usage = this.#showUsage();
      if (usage !== undefined) shown += RUN_SEPARATOR + usage;
    });
    return { done: false, value: shown };
  }

  /** The provider's own usage chunk was cut off. */
  #showUsage(): string | undefined {
    const { run } = this.#parts;
    return run.includeUsage && run.usage
      ? this.#show(usageChunk(this.#coveredJson, run, run.usage))
      : undefined;
  }

  /** @returns the chunk that says so */
  #cut(): string {
    this.#closeUpstream();
    this.#parts.run.finishReason = 'length';
    return this.#show(lengthChunk(this.#coveredJson, this.#parts.run));
  }

  async #abandon(): Promise<void> {
    const { drains, cancelStopsBilling, keepsAnswer, upstream, onEnd } = this.#parts;
    // The gateway itself had cut the stream, and the client left before it saw that: it pays as if it had seen it.
    if (upstream.reason instanceof GatewayError) {
      await this.#failed(upstream.reason).catch(() => undefined);
      return;
    }
    if (!this.#end()) return;
    if (keepsAnswer) {
      drains.drain((signal) => this.#drain(signal));
      return;
    }
    if (cancelStopsBilling || !drains.tryDrain((signal) => this.#drain(signal))) {
      this.#closeUpstream();
      await this.#settleUsage().catch(() => undefined);
      onEnd({ kind: 'client-gone' });
    }
  }

  #closeUpstream(): void {
    this.#parts.upstream.abort();
    void this.#events.return?.().catch(() => undefined);
  }

  /** Reads on without a client, up to the provider's own count. */
  async #drain(signal: AbortSignal): Promise<void> {
    const { upstream, onEnd } = this.#parts;
    const cut = (): void => upstream.abort();
    signal.addEventListener('abort', cut, { once: true });
    try {
      await this.#readOn();
      await this.#settleUsage();
      if (this.#isUncovered) this.#showUsage();
      await this.#parts.onComplete?.();
    } catch (error) {
      await this.#settleCutDrain(error).catch(() => undefined);
    } finally {
      // A signal with a time limit lives until then, and its listener would keep request and answer alive.
      signal.removeEventListener('abort', cut);
    }
    onEnd({ kind: 'client-gone' });
  }

  /** To the end, or as far as the money goes. */
  async #readOn(): Promise<void> {
    for (;;) {
      if (this.#covering) await this.#covering;
      if (this.#coverFailure) throw this.#coverFailure.error;
      if (this.#isUncovered) {
        this.#cut();
        return;
      }
      const step = await (this.#pending ?? this.#events.next());
      if (step.done) return;
      this.#take(step.value);
    }
  }

  /**
   * The end was not reached. What the client got before it left is charged, by our own count. Not so with an
   * Idempotency-Key: an answer that cannot be replayed is not charged, the key is free, and the retry starts afresh.
   */
  async #settleCutDrain(error: unknown): Promise<void> {
    if (!this.#parts.keepsAnswer) return this.#settleUsage();
    await this.#settle(releaseAfter(error, 'client_gone'));
  }

  /** @returns false when the end was already reached */
  #end(): boolean {
    if (this.#ended) return false;
    this.#ended = true;
    this.#parts.run.noteUpstreamEnd();
    this.#parts.run.context.clientGone.removeEventListener('abort', this);
    return true;
  }

  async #settleUsage(): Promise<void> {
    const { run, target } = this.#parts;
    const told = this.#usageIsFinal ? this.#usage : undefined;
    const usage = told ?? (await ownUsage(run.request, String(this.#outputText), this.#usage));
    run.usage = usage;
    run.output = String(this.#outputText);
    await this.#settle({ kind: 'usage', target, usage, source: told ? 'provider' : 'own' });
  }

  #settle(settlement: Settlement): Promise<SettledCharge> {
    const { run, billing } = this.#parts;
    if (this.#settling) return this.#settling;
    run.enterStage('settle');
    this.#settling = billing.settle(settlement).then((charge) => {
      run.leaveStage();
      run.costNanoUsd = charge.costNanoUsd;
      return charge;
    });
    return this.#settling;
  }
}

/** For a stream that had begun: the provider may bill what came. */
function releaseAfter(error: unknown, otherwise: string): Settlement {
  const reason = error instanceof GatewayError ? error.code : otherwise;
  return { kind: 'release', reason, isCostUnknown: true };
}

/** A run as one event for each chunk. */
function eventsOf(event: ChatStreamEvent): ChatStreamEvent[] {
  return chunksOf(event.json).map((json, position) =>
    position === 0 ? { ...event, json } : { ...event, json, outputText: '' },
  );
}
