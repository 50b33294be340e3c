import {
  abortSignalOf,
  type CallSignal,
  GatewayError,
  type ProviderAnswer,
  type ProviderCall,
  type ProviderStrategy,
  type ProviderStream,
} from '@app/contracts';
import { TranslatedEvents } from '../translated-events.js';
import type { GeminiClient } from './google.client.js';
import { badResponse, requestIdOf, toProviderError } from './google.errors.js';
import { GeminiEvents } from './google.events.js';
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
    if (!response.body) throw badResponse('Google answered without a body.');
    const translator = new GeminiStreamTranslator(this.#context(call, request));
    return {
      events: new TranslatedEvents(response.body, new GeminiEvents(translator, call.signal)),
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

function unixSeconds(): number {
  return Math.floor(Date.now() / 1000);
}
