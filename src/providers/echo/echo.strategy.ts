import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import {
  abortReason,
  abortSignalOf,
  type CallSignal,
  type ChatStreamEvent,
  type ProviderAnswer,
  type ProviderCall,
  type ProviderStrategy,
  type ProviderStream,
} from '@app/contracts';
import { answerOf, type EchoAnswer } from './echo.answer.js';
import {
  brokenStream,
  contextTooLong,
  scriptedError,
  unsupported,
  unsupportedFields,
} from './echo.errors.js';
import {
  ECHO_BEHAVIOURS,
  ECHO_CONTEXT_WINDOW,
  WORDS_BEFORE_BREAK,
  type EchoBehaviour,
} from './echo.models.js';
import { streamEvents, toCompletion } from './echo.response.js';
import { countInputTokens } from './echo.tokens.js';

/** A provider inside the process: it repeats what it hears, and fails if the model's name says so. No network, no key. */
export class EchoStrategy implements ProviderStrategy {
  readonly providerName = 'echo';
  readonly cancelStopsBilling = true;

  constructor(private readonly delayMs: number) {}

  async complete(call: ProviderCall): Promise<ProviderAnswer> {
    const { behaviour, answer, droppedParams } = await this.#begin(call);
    if (behaviour.breaksBy) throw brokenStream(behaviour.breaksBy);
    const reportsUsage = !behaviour.reportsNoUsage;
    return {
      completion: toCompletion(call, answer, reportsUsage),
      usage: reportsUsage ? answer.usage : undefined,
      providerRequestId: `echo-${call.requestId}`,
      droppedParams,
    };
  }

  async stream(call: ProviderCall): Promise<ProviderStream> {
    const { behaviour, answer, droppedParams } = await this.#begin(call);
    const delayMs = this.delayMs * (behaviour.slowness ?? 1);
    return {
      events: new EchoEvents(
        streamEvents(call, answer, !behaviour.reportsNoUsage),
        behaviour,
        delayMs,
        call.signal,
      ),
      providerRequestId: `echo-${call.requestId}`,
      droppedParams,
    };
  }

  probe(): Promise<void> {
    return Promise.resolve();
  }

  async #begin(
    call: ProviderCall,
  ): Promise<{ behaviour: EchoBehaviour; answer: EchoAnswer; droppedParams: readonly string[] }> {
    const behaviour = ECHO_BEHAVIOURS[call.upstreamModel] ?? {};
    const droppedParams = unsupportedFields(call.request);
    if (droppedParams[0] !== undefined && !call.dropUnsupported) throw unsupported(droppedParams[0]);
    await nextTurn();
    if (behaviour.hangs) await untilAborted(call.signal);
    if (call.signal.aborted) throw abortReason(call.signal);
    if (behaviour.failsWith !== undefined) throw scriptedError(behaviour.failsWith);
    const inputTokens = countInputTokens(call.request, ECHO_CONTEXT_WINDOW);
    if (inputTokens > ECHO_CONTEXT_WINDOW) throw contextTooLong();
    const answer = answerOf(call.request, behaviour, inputTokens, call.maxOutputTokens);
    return { behaviour, answer, droppedParams };
  }
}

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };

/** The events, with a pause before each word. */
class EchoEvents implements AsyncIterableIterator<ChatStreamEvent, undefined> {
  #words = 0;
  #sleepSignal: AbortSignal | undefined;
  #ended = false;

  constructor(
    private readonly events: Generator<ChatStreamEvent, undefined>,
    private readonly behaviour: EchoBehaviour,
    private readonly delayMs: number,
    private readonly signal: CallSignal,
  ) {}

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<ChatStreamEvent, undefined>> {
    if (this.#ended) return DONE;
    const result = this.events.next();
    if (result.done) return this.return();
    if (result.value.outputText !== '') await this.#pause();
    if (this.signal.aborted) throw this.#end(abortReason(this.signal));
    const { breaksBy } = this.behaviour;
    if (breaksBy && this.#breaksAt(result.value)) throw this.#end(brokenStream(breaksBy));
    return result;
  }

  return(): Promise<IteratorReturnResult<undefined>> {
    this.#ended = true;
    return Promise.resolve(DONE);
  }

  /** Before the first word too many, and in any case before the end. */
  #breaksAt(event: ChatStreamEvent): boolean {
    return this.#words > WORDS_BEFORE_BREAK || event.finishReason !== undefined || event.usageOnly;
  }

  async #pause(): Promise<void> {
    this.#words += 1;
    if (this.delayMs === 0) return;
    // An abort is seen from the signal, which is checked next.
    await sleep(this.delayMs, undefined, {
      signal: (this.#sleepSignal ??= abortSignalOf(this.signal)),
    }).catch(() => undefined);
  }

  #end(error: Error): Error {
    this.#ended = true;
    return error;
  }
}

function untilAborted(signal: CallSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
