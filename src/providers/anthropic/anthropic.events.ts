import { type CallSignal, type ChatStreamEvent, parseEventJson } from '@app/contracts';
import { SseDecoder, type SseEvent, type SseSink } from '@app/sse';
import type { StreamTranslation } from '../translation/translated-events.js';
import { badResponse, toProviderError } from './anthropic.errors.js';
import { AnthropicStreamTranslator, type StreamContext } from './anthropic.stream.js';
import { isEvent, type WireEvent } from './anthropic.wire.js';

const NONE: ChatStreamEvent[] = [];

/**
 * The bytes of a stream -> chunks. The stream is complete only after `message_stop`; if the bytes end before, it was cut.
 *
 * @throws ProviderError  as in anthropic.stream.ts and anthropic.errors.ts; the signal's reason when it was aborted
 */
export class AnthropicEvents implements StreamTranslation, SseSink {
  readonly #decoder = new SseDecoder();
  readonly #translator: AnthropicStreamTranslator;
  #out = NONE;

  constructor(
    private readonly context: StreamContext,
    private readonly signal: CallSignal,
  ) {
    this.#translator = new AnthropicStreamTranslator(context);
  }

  get complete(): boolean {
    return this.#translator.stopped;
  }

  take(bytes: Uint8Array, out: ChatStreamEvent[]): void {
    this.#out = out;
    this.#decoder.read(bytes, this);
    // Holding on to the events would keep them in memory until the provider sends more.
    this.#out = NONE;
  }

  end(out: ChatStreamEvent[]): void {
    this.#out = out;
    for (const event of this.#decoder.end()) this.event(event);
    if (!this.complete) throw badResponse('was cut off before its end', this.context.providerRequestId);
  }

  /** For the decoder. */
  event(event: SseEvent): void {
    if (this.complete) return;
    for (const chunk of this.#translator.take(this.#parse(event))) this.#out.push(chunk);
  }

  judge(error: unknown): Error {
    return toProviderError(error, this.signal);
  }

  #parse({ data }: SseEvent): WireEvent {
    const payload: unknown = parseEventJson(data);
    if (isEvent(payload)) return payload;
    throw badResponse('has an event without a type', this.context.providerRequestId);
  }
}
