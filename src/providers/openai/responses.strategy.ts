import type OpenAI from 'openai';
import {
  abortSignalOf,
  type ProviderAnswer,
  type ProviderCall,
  type ProviderStrategy,
  type ProviderStream,
} from '@app/contracts';
import { ChatEventStream } from '../openai-compatible/chat-event-stream.js';
import { concedeField } from '../openai-compatible/concessions.js';
import { negotiate, type Sent } from '../openai-compatible/negotiate-request.js';
import { badResponse, requestIdIn, toProviderError } from '../openai-compatible/openai-compatible.errors.js';
import { asObject, parseAnswer, type WireObject } from '../openai-compatible/openai-compatible.wire.js';
import { OPENAI_DIALECT } from './openai.dialect.js';
import { toResponsesRequest } from './responses.request.js';
import { outputItems, responseToCompletion } from './responses.response.js';
import { ResponsesStreamTranslator } from './responses.stream.js';
import { readResponsesUsage } from './responses.usage.js';

/** OpenAI's Responses API under the same port: for models and requests that chat completions do not serve. */
export class ResponsesStrategy implements ProviderStrategy {
  readonly providerName = OPENAI_DIALECT.providerName;
  readonly cancelStopsBilling = OPENAI_DIALECT.cancelStopsBilling;

  constructor(private readonly client: OpenAI) {}

  async complete(call: ProviderCall): Promise<ProviderAnswer> {
    try {
      const { answer: response, droppedParams } = await this.#send(call, false);
      const body = asObject(parseAnswer(await response.text()));
      return {
        completion: responseToCompletion(body, call),
        usage: body && readResponsesUsage(body.usage, outputItems(body), body.tool_usage),
        providerRequestId: requestIdIn(response.headers),
        droppedParams,
      };
    } catch (error) {
      throw toProviderError(error, call.signal);
    }
  }

  async stream(call: ProviderCall): Promise<ProviderStream> {
    try {
      const { answer: response, droppedParams } = await this.#send(call, true);
      if (!response.body) throw badResponse('The provider answered without a body.');
      const events = new ChatEventStream(response.body, new ResponsesStreamTranslator(call), call.signal);
      return { events, providerRequestId: requestIdIn(response.headers), droppedParams };
    } catch (error) {
      throw toProviderError(error, call.signal);
    }
  }

  async #send(call: ProviderCall, stream: boolean): Promise<Sent<Response>> {
    const { body, droppedParams } = toResponsesRequest(call, stream);
    const post = (wanted: WireObject): Promise<Response> => this.#post(call, wanted);
    try {
      return { answer: await post(body), droppedParams };
    } catch (failure) {
      const sent = await negotiate(body, failure, { call, concede: concedeField, post });
      return { answer: sent.answer, droppedParams: [...droppedParams, ...sent.droppedParams] };
    }
  }

  #post(call: ProviderCall, body: WireObject): Promise<Response> {
    const headers = {
      [OPENAI_DIALECT.requestIdHeader]: call.requestId,
      ...(call.traceparent ? { traceparent: call.traceparent } : {}),
    };
    return this.client.post('/responses', { body, headers, signal: abortSignalOf(call.signal) }).asResponse();
  }
}
