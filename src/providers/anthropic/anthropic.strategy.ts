import type Anthropic from '@anthropic-ai/sdk';
import {
  type CallSignal,
  hasTooManyParts,
  type ProviderAnswer,
  type ProviderCall,
  type ProviderStrategy,
  type ProviderStream,
} from '@app/contracts';
import { parseBody } from '../http/light-response.js';
import { type PostAnswer, type PostResponse, PreparedPost, readRefusal } from '../http/prepared-post.js';
import { TranslatedEvents } from '../translation/translated-events.js';
import { badResponse, toProviderError, toRefusal, toStreamError } from './anthropic.errors.js';
import { AnthropicEvents } from './anthropic.events.js';
import { toAnthropicRequest, type TranslatedRequest } from './anthropic.request.js';
import { type AnswerContext, toChatCompletion } from './anthropic.response.js';
import { toUsage } from './anthropic.usage.js';
import { isAnswer, isObject, type WireAnswer } from './anthropic.wire.js';

const MESSAGES_PATH = '/v1/messages';
const MODELS_PATH = '/v1/models';

/**
 * Calls Anthropic's Messages API through the official SDK. The translation is in the other files of this folder.
 *
 * Bodies are read raw: the SDK's own stream loop costs more, and ends silently when the call is aborted. Requests are posted by
 * path, not with `client.messages.create`, which writes deprecation notices to the console and refuses long answers that are not
 * streamed.
 */
export class AnthropicStrategy implements ProviderStrategy {
  readonly providerName = 'anthropic';
  /** Anthropic stops generating, and charging, when the connection is closed. */
  readonly cancelStopsBilling = true;

  readonly #messages: PreparedPost;

  constructor(
    private readonly client: Anthropic,
    private readonly nowMs: () => number = Date.now,
  ) {
    this.#messages = new PreparedPost(client, MESSAGES_PATH);
  }

  async complete(call: ProviderCall): Promise<ProviderAnswer> {
    const translated = toAnthropicRequest(call, false);
    const response = await this.#whole(call, translated);
    const providerRequestId = requestIdOf(response);
    const answer = readAnswer(response, call.signal, providerRequestId);
    return {
      completion: toChatCompletion(answer, this.#context(call, translated)),
      usage: toUsage(answer.usage, answer.content)?.billed,
      providerRequestId,
      droppedParams: translated.droppedParams,
    };
  }

  async stream(call: ProviderCall): Promise<ProviderStream> {
    const translated = toAnthropicRequest(call, true);
    const response = await this.#begin(call, translated);
    const providerRequestId = requestIdOf(response);
    if (!response.body) throw badResponse('has no body', providerRequestId);
    const context = { ...this.#context(call, translated), providerRequestId };
    return {
      events: new TranslatedEvents(response.body, new AnthropicEvents(context, call.signal)),
      providerRequestId,
      droppedParams: translated.droppedParams,
    };
  }

  async probe(signal: AbortSignal): Promise<void> {
    try {
      const response = await this.client.get(MODELS_PATH, { query: { limit: 1 }, signal }).asResponse();
      await response.text();
    } catch (error) {
      throw toProviderError(error, signal);
    }
  }

  async #begin(call: ProviderCall, translated: TranslatedRequest): Promise<PostResponse> {
    try {
      const response = await this.#messages.begin(translated.body, headersOf(call, translated), call.signal);
      if (response.ok) return response;
      throw toRefusal(await readRefusal(response));
    } catch (error) {
      throw toProviderError(error, call.signal);
    }
  }

  async #whole(call: ProviderCall, translated: TranslatedRequest): Promise<PostAnswer> {
    try {
      const answer = await this.#messages.whole(translated.body, headersOf(call, translated), call.signal);
      if (answer.ok) return answer;
      throw toRefusal(answer);
    } catch (error) {
      throw toProviderError(error, call.signal);
    }
  }

  #context(call: ProviderCall, translated: TranslatedRequest): AnswerContext {
    return {
      clientModel: call.clientModel,
      created: Math.floor(this.nowMs() / 1000),
      legacyFunctions: translated.legacyFunctions,
      answersByTool: translated.answersByTool,
    };
  }
}

/** As name, value, name, value, … */
function headersOf(call: ProviderCall, { betas }: TranslatedRequest): string[] {
  return [
    ...(betas.length > 0 ? ['anthropic-beta', betas.join(',')] : []),
    ...(call.traceparent ? ['traceparent', call.traceparent] : []),
  ];
}

function requestIdOf(response: Pick<PostAnswer, 'headers'>): string | undefined {
  return response.headers.get('request-id') ?? undefined;
}

function readAnswer(answer: PostAnswer, signal: CallSignal, requestId: string | undefined): WireAnswer {
  const body = readJson(answer, signal);
  if (isAnswer(body)) {
    if (!hasTooManyParts(body.content)) return body;
    throw badResponse('has more blocks than any model produces', requestId);
  }
  if (isObject(body) && body.type === 'error') throw toStreamError(body, false, requestId);
  throw badResponse('is not a message', requestId);
}

function readJson({ text }: PostAnswer, signal: CallSignal): unknown {
  try {
    return parseBody(text);
  } catch (error) {
    throw toProviderError(error, signal);
  }
}
