import type Anthropic from '@anthropic-ai/sdk';
import {
  abortSignalOf,
  type CallSignal,
  hasTooManyParts,
  type ProviderAnswer,
  type ProviderCall,
  type ProviderStrategy,
  type ProviderStream,
} from '@app/contracts';
import { badResponse, toCallError, toStreamError } from './anthropic.errors.js';
import { TranslatedEvents } from '../translated-events.js';
import { AnthropicEvents } from './anthropic.events.js';
import { toAnthropicRequest, type TranslatedRequest } from './anthropic.request.js';
import { type AnswerContext, toChatCompletion } from './anthropic.response.js';
import { toUsage } from './anthropic.usage.js';
import { isAnswer, isObject, type WireAnswer } from './anthropic.wire.js';

const MESSAGES_PATH = '/v1/messages';
const MODELS_PATH = '/v1/models';

/**
 * Speaks to Anthropic's Messages API through the official SDK; what is said is translated in the files beside this one.
 *
 * Bodies are read raw (`asResponse`): the SDK's own stream loop costs more, and ends without a word when the call is
 * aborted. `client.post` instead of `client.messages.create`, because the latter writes deprecation notices to the
 * console and refuses long answers that are not streamed.
 */
export class AnthropicStrategy implements ProviderStrategy {
  readonly providerName = 'anthropic';
  /** Anthropic stops generating, and charging, when the connection is closed. */
  readonly cancelStopsBilling = true;

  constructor(
    private readonly client: Anthropic,
    private readonly nowMs: () => number = Date.now,
  ) {}

  async complete(call: ProviderCall): Promise<ProviderAnswer> {
    const translated = toAnthropicRequest(call, false);
    const response = await this.#send(call, translated);
    const providerRequestId = requestIdOf(response);
    const answer = await readAnswer(response, call.signal, providerRequestId);
    return {
      completion: toChatCompletion(answer, this.#context(call, translated)),
      usage: toUsage(answer.usage)?.billed,
      providerRequestId,
      droppedParams: translated.droppedParams,
    };
  }

  async stream(call: ProviderCall): Promise<ProviderStream> {
    const translated = toAnthropicRequest(call, true);
    const response = await this.#send(call, translated);
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
      throw toCallError(error, signal);
    }
  }

  async #send(call: ProviderCall, { body, betas }: TranslatedRequest): Promise<Response> {
    const headers = {
      ...(betas.length > 0 && { 'anthropic-beta': betas.join(',') }),
      ...(call.traceparent && { traceparent: call.traceparent }),
    };
    try {
      return await this.client
        .post(MESSAGES_PATH, { body, headers, signal: abortSignalOf(call.signal) })
        .asResponse();
    } catch (error) {
      throw toCallError(error, call.signal);
    }
  }

  #context(call: ProviderCall, translated: TranslatedRequest): AnswerContext {
    return {
      clientModel: call.clientModel,
      created: Math.floor(this.nowMs() / 1000),
      legacyFunctions: translated.legacyFunctions,
    };
  }
}

function requestIdOf(response: Response): string | undefined {
  return response.headers.get('request-id') ?? undefined;
}

async function readAnswer(
  response: Response,
  signal: CallSignal,
  requestId: string | undefined,
): Promise<WireAnswer> {
  const body = await readJson(response, signal);
  if (isAnswer(body)) {
    if (!hasTooManyParts(body.content)) return body;
    throw badResponse('has more blocks than any model gives', requestId);
  }
  if (isObject(body) && body.type === 'error') throw toStreamError(body, false, requestId);
  throw badResponse('is not a message', requestId);
}

async function readJson(response: Response, signal: CallSignal): Promise<unknown> {
  try {
    return await response.json();
  } catch (error) {
    throw toCallError(error, signal);
  }
}
