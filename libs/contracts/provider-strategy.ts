import type { CallSignal } from './call-signal.js';
import type { ChatCompletion, FinishReason } from './chat-completion.js';
import type { ChatRequest } from './chat-request.js';
import type { ProviderError } from './gateway-error.js';
import type { Usage } from './usage.js';

/**
 * The port: everything the gateway asks of a provider. Two calls, one to answer whole, one to stream.
 * A further operation (embeddings, …) is a further small interface, not a stub that throws.
 *
 * @throws ProviderError  for every failure of the call, before the first event of a stream and while it runs
 * @throws GatewayError   `unsupported_parameter` when the request has a field this provider cannot honour
 *                        (unless `call.dropUnsupported`: then the field is left out and named in `droppedParams`)
 */
export interface ProviderStrategy {
  /** `openai`, `anthropic`, `google`, `echo`, or the name given in GATEWAY_CONFIG. */
  readonly providerName: string;
  /** What a client's disconnect in mid-stream does to the vendor's bill; decides between abort and drain. */
  readonly cancelStopsBilling: boolean;
  complete(call: ProviderCall): Promise<ProviderAnswer>;
  /** Resolves when the provider has answered with a stream (status and headers), before the first event is read. */
  stream(call: ProviderCall): Promise<ProviderStream>;
  /** Asks the provider something that costs no tokens (list models); resolves when it answered, throws otherwise. */
  probe?(signal: AbortSignal): Promise<void>;
}

/** One upstream call. */
export interface ProviderCall {
  /** As the client sent it; strategies never change it. */
  readonly request: ChatRequest;
  /** The model's name at the provider. */
  readonly upstreamModel: string;
  /** `model` in the answer: what the client asked for. */
  readonly clientModel: string;
  /**
   * The output limit to write into the upstream request, in tokens, reasoning included.
   * `undefined` = the client named none and the provider enforces the model's own maximum.
   */
  readonly maxOutputTokens: number | undefined;
  /** Names the gateway's request to the provider where it has a field or header for it. */
  readonly requestId: string;
  /** W3C trace context to pass on, when the request has one. */
  readonly traceparent?: string | undefined;
  /** Aborts the upstream call: client gone, timeout, shutdown. Its `reason` is the error to report when it is one. */
  readonly signal: CallSignal;
  readonly dropUnsupported: boolean;
  /** What whoever tries several targets tells the resilience layer. Strategies do not look at it. */
  readonly placement?: CallPlacement | undefined;
}

/** A call's place among the calls that one request may need. */
export interface CallPlacement {
  /** Another target of the same model comes next, so it is better to fail now than to wait for a better moment. */
  readonly hasAlternative: boolean;
  /** `performance.now()` at which the whole request has failed. */
  readonly deadlineAtMs: number;
  /** Told of every upstream call that failed and is made again. */
  readonly onRepeat: (failed: { error: ProviderError; startedAt: Date; durationMs: number }) => void;
  /** Told when the wait after that is over and the call is made. */
  readonly onResume?: (() => void) | undefined;
}

export interface ProviderAnswer {
  /** In OpenAI's form, with `model` = `clientModel`. */
  readonly completion: ChatCompletion;
  /** `undefined` when the provider reported none. Explicit zeros are zeros. */
  readonly usage: Usage | undefined;
  readonly providerRequestId?: string | undefined;
  /** Request fields left out because the provider cannot honour them. */
  readonly droppedParams: readonly string[];
}

/**
 * An answer stream that has begun. Iterate `events` once, to its end or `return()` it; either closes the upstream.
 * A stream that ends without a terminal sign of its provider (finish reason, `message_stop`, …) throws
 * ProviderError `provider_bad_response`: a cut stream never looks complete.
 */
export interface ProviderStream {
  readonly events: AsyncIterable<ChatStreamEvent>;
  readonly providerRequestId?: string | undefined;
  readonly droppedParams: readonly string[];
}

/** What stands between two chunks of a run: what stands between two events on the wire, and in no JSON on one line. */
export const RUN_SEPARATOR = '\n\ndata: ';

/** The chunks of an event, of which a run has several. */
export function chunksOf(json: string): string[] {
  return json.split(RUN_SEPARATOR);
}

/** One event of an answer stream. */
export interface ChatStreamEvent {
  /**
   * A `chat.completion.chunk` as JSON text, one line, `model` = `clientModel`: what stands behind `data: `.
   * Text and not an object, so that a provider of OpenAI's own dialect costs no parse and no stringify per event.
   *
   * Who takes events by `takeReady` may get a run: several chunks, none of which ends choice 0 or is there for its usage only,
   * with `RUN_SEPARATOR` in between. `chunksOf` tells them apart.
   */
  readonly json: string;
  /** What the model wrote in this event (text, reasoning, tool arguments), for counting when the stream is cut. */
  readonly outputText: string;
  /** The provider's count so far. Running totals: the last one wins, they are never added. */
  readonly usage?: Usage | undefined;
  /** True for a chunk that exists to carry usage (`choices: []`): shown only to a client that asked for it. */
  readonly usageOnly: boolean;
  /** Set on the event that ends choice 0. */
  readonly finishReason?: FinishReason | undefined;
}
