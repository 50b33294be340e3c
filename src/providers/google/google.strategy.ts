import {
  type CallSignal,
  GatewayError,
  type ProviderAnswer,
  type ProviderCall,
  type ProviderStrategy,
  type ProviderStream,
} from '@app/contracts';
import { parseBody } from '../http/light-response.js';
import { type PostAnswer, type PostResponse, PreparedPost, readRefusal } from '../http/prepared-post.js';
import { TranslatedEvents } from '../translation/translated-events.js';
import { unixSeconds } from '../translation/unix-seconds.js';
import type { GeminiClient } from './google.client.js';
import { badResponse, refusalOf, requestIdOf, toProviderError } from './google.errors.js';
import { GeminiEvents } from './google.events.js';
import { toGeminiRequest, type TranslatedRequest } from './google.request.js';
import { type AnswerContext, translateResponse } from './google.response.js';
import { GeminiStreamTranslator } from './google.stream.js';
import { paysEverySearch } from './google.traits.js';

/** Two for each model; with a wildcard, clients choose the names of models. */
const MAX_PREPARED_PATHS = 500;

/** Calls the Gemini API: I/O only. The translation is in the other files of this folder. */
export class GoogleStrategy implements ProviderStrategy {
  /** Google completes and bills an answer even if the connection is closed, so the gateway reads it to the end. */
  readonly cancelStopsBilling = false;

  readonly #posts = new Map<string, PreparedPost>();

  constructor(
    readonly providerName: string,
    private readonly client: GeminiClient,
    private readonly now: () => number = unixSeconds,
  ) {}

  async complete(call: ProviderCall): Promise<ProviderAnswer> {
    const request = toGeminiRequest(call);
    const response = await this.#whole(call, request);
    const body = readJson(response, call.signal);
    const { completion, usage } = translateResponse(body, this.#context(call, request));
    return {
      completion,
      usage,
      providerRequestId: requestIdOf(response),
      droppedParams: request.droppedParams,
    };
  }

  async stream(call: ProviderCall): Promise<ProviderStream> {
    const request = toGeminiRequest(call);
    const response = await this.#begin(call, request);
    if (!response.body) throw badResponse('Google answered without a body.');
    const translator = new GeminiStreamTranslator(this.#context(call, request));
    return {
      events: new TranslatedEvents(response.body, new GeminiEvents(translator, call.signal)),
      providerRequestId: requestIdOf(response),
      droppedParams: request.droppedParams,
    };
  }

  async probe(signal: AbortSignal): Promise<void> {
    try {
      await this.client.probe(signal);
    } catch (error) {
      throw toProviderError(error, signal);
    }
  }

  async #begin(call: ProviderCall, { body }: TranslatedRequest): Promise<PostResponse> {
    const post = this.#post(`${modelPath(call.upstreamModel)}:streamGenerateContent?alt=sse`);
    try {
      const response = await post.begin(body, headersOf(call), call.signal);
      if (response.ok) return response;
      throw refusalOf(await readRefusal(response));
    } catch (error) {
      throw toProviderError(error, call.signal);
    }
  }

  async #whole(call: ProviderCall, { body }: TranslatedRequest): Promise<PostAnswer> {
    const post = this.#post(`${modelPath(call.upstreamModel)}:generateContent`);
    try {
      const answer = await post.whole(body, headersOf(call), call.signal);
      if (answer.ok) return answer;
      throw refusalOf(answer);
    } catch (error) {
      throw toProviderError(error, call.signal);
    }
  }

  #post(path: string): PreparedPost {
    const known = this.#posts.get(path);
    if (known) return known;
    if (this.#posts.size >= MAX_PREPARED_PATHS) this.#posts.clear();
    const added = new PreparedPost(this.client, path);
    this.#posts.set(path, added);
    return added;
  }

  #context(call: ProviderCall, request: TranslatedRequest): AnswerContext {
    return {
      clientModel: call.clientModel,
      legacyFunctions: request.legacyFunctions,
      oneCall: request.oneCall,
      citesSources: request.citesSources,
      paysEverySearch: paysEverySearch(call.upstreamModel),
      now: this.now,
    };
  }
}

/** The name becomes part of the URL: only a name may get there, even if a wildcard let something else pass. */
const MODEL_NAME = /^((models|tunedModels)\/)?[A-Za-z0-9][\w.@-]{0,127}$/;

function modelPath(model: string): string {
  if (!MODEL_NAME.test(model))
    throw new GatewayError('model_not_found', `Google has no model named ${model}.`);
  return model.includes('/') ? model : `models/${model}`;
}

/** Name, value. */
function headersOf({ traceparent }: ProviderCall): string[] {
  return traceparent ? ['traceparent', traceparent] : [];
}

function readJson({ text }: PostAnswer, signal: CallSignal): unknown {
  try {
    return parseBody(text);
  } catch (error) {
    throw toProviderError(error, signal);
  }
}
