import {
  abortSignalOf,
  type CallSignal,
  GatewayError,
  type ChatStreamEvent,
  type ProviderAnswer,
  type ProviderCall,
  type ProviderStrategy,
  type ProviderStream,
} from '@app/contracts';
import type { GeminiClient } from './google.client.js';
import { badResponse, requestIdOf, toProviderError } from './google.errors.js';
import { GeminiFrames } from './google.frames.js';
import { translateRequest, type TranslatedRequest } from './google.request.js';
import { type AnswerContext, translateResponse } from './google.response.js';
import { GeminiStreamTranslator } from './google.stream.js';
import { paysEverySearch } from './google.traits.js';

/** Speaks to the Gemini API: I/O only, the translation is in the pure files beside it. */
export class GoogleStrategy implements ProviderStrategy {
  /** Google works on and bills to the end of the answer, whoever has left: the gateway drains what it has begun. */
  readonly cancelStopsBilling = false;

  constructor(
    readonly providerName: string,
    private readonly client: GeminiClient,
    private readonly now: () => number = unixSeconds,
  ) {}

  async complete(call: ProviderCall): Promise<ProviderAnswer> {
    const request = translateRequest(call);
    const response = await this.#send(call, request, 'generateContent');
    const body = await readJson(response, call.signal);
    const { completion, usage } = translateResponse(body, this.#context(call, request));
    return {
      completion,
      usage,
      providerRequestId: requestIdOf(response),
      droppedParams: request.droppedParams,
    };
  }

  async stream(call: ProviderCall): Promise<ProviderStream> {
    const request = translateRequest(call);
    const response = await this.#send(call, request, 'streamGenerateContent', { alt: 'sse' });
    const translator = new GeminiStreamTranslator(this.#context(call, request));
    return {
      events: new GeminiEvents(chunksOf(response), translator, call.signal),
      providerRequestId: requestIdOf(response),
      droppedParams: request.droppedParams,
    };
  }

  /** Lists one model: needs the key, costs no tokens. */
  async probe(signal: AbortSignal): Promise<void> {
    try {
      const response = await this.client.call({
        path: 'models',
        httpMethod: 'GET',
        query: { pageSize: '1' },
        signal,
      });
      await response.text();
    } catch (error) {
      throw toProviderError(error, signal);
    }
  }

  async #send(
    call: ProviderCall,
    request: TranslatedRequest,
    method: string,
    query?: Record<string, string>,
  ) {
    const path = `${modelPath(call.upstreamModel)}:${method}`;
    const body = JSON.stringify(request.body);
    const headers = call.traceparent ? { headers: { traceparent: call.traceparent } } : {};
    try {
      return await this.client.call({
        path,
        httpMethod: 'POST',
        body,
        signal: abortSignalOf(call.signal),
        ...(query ? { query } : {}),
        ...headers,
      });
    } catch (error) {
      throw toProviderError(error, call.signal);
    }
  }

  #context(call: ProviderCall, request: TranslatedRequest): AnswerContext {
    return {
      clientModel: call.clientModel,
      legacyFunctions: request.legacyFunctions,
      citesSources: request.citesSources,
      paysEverySearch: paysEverySearch(call.upstreamModel),
      now: this.now,
    };
  }
}

/** The name becomes a part of the address: nothing but a name may get there, even if a wildcard let it pass. */
const MODEL_NAME = /^((models|tunedModels)\/)?[A-Za-z0-9][\w.@-]{0,127}$/;

function modelPath(model: string): string {
  if (!MODEL_NAME.test(model))
    throw new GatewayError('model_not_found', `Google has no model named ${model}.`);
  return model.includes('/') ? model : `models/${model}`;
}

async function readJson(response: Response, signal: CallSignal): Promise<unknown> {
  try {
    return await response.json();
  } catch (error) {
    throw toProviderError(error, signal);
  }
}

function chunksOf(response: Response): AsyncIterator<Uint8Array> {
  if (!response.body) throw badResponse('Google answered without a body.');
  return response.body[Symbol.asyncIterator]();
}

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };

/** An object and not a generator: one that was never started would leave the connection open. */
class GeminiEvents implements AsyncIterableIterator<ChatStreamEvent, undefined> {
  readonly #frames = new GeminiFrames();
  #ready: ChatStreamEvent[] = [];
  #position = 0;
  #ended = false;
  #failure: { reason: unknown } | undefined;

  constructor(
    private readonly source: AsyncIterator<Uint8Array>,
    private readonly translator: GeminiStreamTranslator,
    private readonly signal: CallSignal,
  ) {}

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<ChatStreamEvent, undefined>> {
    for (;;) {
      const event = this.#ready[this.#position++];
      if (event) return { done: false, value: event };
      if (this.#failure) throw this.#takeFailure();
      if (this.#ended) return DONE;
      await this.#read();
    }
  }

  async return(): Promise<IteratorReturnResult<undefined>> {
    this.#ready = [];
    this.#failure = undefined;
    await this.#close();
    return DONE;
  }

  async #read(): Promise<void> {
    this.#position = 0;
    this.#ready = [];
    try {
      const { done, value } = await this.source.next();
      if (!done) this.#take(this.#frames.push(value));
      else this.#finish();
    } catch (error) {
      // Events before it, of the same bytes, are still given: they are what the client has to pay for.
      this.#failure = { reason: toProviderError(error, this.signal) };
      await this.#close();
    }
  }

  #takeFailure(): unknown {
    const reason = this.#failure?.reason;
    this.#failure = undefined;
    return reason;
  }

  #take(frames: readonly string[]): void {
    for (const frame of frames) this.#ready.push(...this.translator.take(frame));
  }

  #finish(): void {
    this.#take(this.#frames.end());
    this.#ready.push(...this.translator.end());
    this.#ended = true;
  }

  async #close(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    await this.source.return?.();
  }
}

function unixSeconds(): number {
  return Math.floor(Date.now() / 1000);
}
