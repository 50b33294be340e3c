import type OpenAI from 'openai';
import {
  abortSignalOf,
  ProviderError,
  type ProviderAnswer,
  type ProviderCall,
  type ProviderStrategy,
  type ProviderStream,
} from '@app/contracts';
import { ChatEventStream } from './chat-event-stream.js';
import { completionEvents } from './completion-events.js';
import { concede, type Concession } from './negotiate-request.js';
import type { OpenAiDialect, OutputLimitField } from './openai-compatible.dialect.js';
import { badResponse, toProviderError } from './openai-compatible.errors.js';
import { toWireRequest } from './openai-compatible.request.js';
import { toChatCompletion } from './openai-compatible.response.js';
import { ChatStreamTranslator, type StreamContext } from './openai-compatible.stream.js';
import { readUsage } from './openai-compatible.usage.js';
import { asObject, parseJson, type WireObject } from './openai-compatible.wire.js';
import { PreparedPost } from './prepared-post.js';

/** One request may be corrected so often before the server's refusal is handed on. */
const MAX_CONCESSIONS = 4;
const MAX_REMEMBERED_MODELS = 500;

interface Sent {
  readonly response: Response;
  readonly droppedParams: readonly string[];
}

/** Chat completions of any server that speaks OpenAI's dialect. I/O only; the form of everything is in the pure files. */
export class OpenAiCompatibleStrategy implements ProviderStrategy {
  readonly providerName: string;
  readonly cancelStopsBilling: boolean;
  /** What servers were found to want, by model, where it is not what the dialect says. */
  readonly #outputLimitFields = new Map<string, OutputLimitField>();
  #withoutStreamOptions = false;
  readonly #completions: PreparedPost;

  constructor(
    private readonly client: OpenAI,
    private readonly dialect: OpenAiDialect,
  ) {
    this.providerName = dialect.providerName;
    this.#completions = new PreparedPost(client, '/chat/completions');
    this.cancelStopsBilling = dialect.cancelStopsBilling;
  }

  async complete(given: ProviderCall): Promise<ProviderAnswer> {
    const call = this.#withDeadline(given);
    try {
      const { response, droppedParams } = await this.#send(call, false);
      const body = parseJson(await response.text());
      return {
        completion: toChatCompletion(body, this.#context(call)),
        usage: readUsage(asObject(body)?.usage),
        providerRequestId: requestIdOf(response),
        droppedParams,
      };
    } catch (error) {
      throw toProviderError(error, call.signal);
    }
  }

  async stream(given: ProviderCall): Promise<ProviderStream> {
    const call = this.#withDeadline(given);
    try {
      const { response, droppedParams } = await this.#send(call, true);
      return {
        events: await this.#events(response, call),
        providerRequestId: requestIdOf(response),
        droppedParams,
      };
    } catch (error) {
      throw toProviderError(error, call.signal);
    }
  }

  async probe(signal: AbortSignal): Promise<void> {
    try {
      const response = await this.client.get('/models', { signal }).asResponse();
      await response.text();
    } catch (thrown) {
      const error = toProviderError(thrown, signal);
      if (!isWithoutModelList(error)) throw error;
    }
  }

  #withDeadline(call: ProviderCall): ProviderCall {
    const { callTimeoutMs } = this.dialect;
    if (callTimeoutMs === undefined) return call;
    return {
      ...call,
      signal: AbortSignal.any([abortSignalOf(call.signal), AbortSignal.timeout(callTimeoutMs)]),
    };
  }

  /** A server that cannot stream answers whole all the same. */
  async #events(response: Response, call: ProviderCall): Promise<ProviderStream['events']> {
    const context = this.#context(call);
    if (response.headers.get('content-type')?.includes('application/json')) {
      return completionEvents(toChatCompletion(parseJson(await response.text()), context), context);
    }
    if (!response.body) throw badResponse('The provider answered without a body.');
    return new ChatEventStream(response.body, new ChatStreamTranslator(context), call.signal);
  }

  async #send(call: ProviderCall, stream: boolean): Promise<Sent> {
    const droppedParams: string[] = [];
    let body = toWireRequest(call, this.#dialectFor(call.upstreamModel), stream);
    for (let concessions = 0; ; concessions += 1) {
      try {
        return { response: await this.#post(body, call), droppedParams };
      } catch (thrown) {
        const refusal = toProviderError(thrown, call.signal);
        const concession =
          concessions < MAX_CONCESSIONS ? concede(body, refusal, call.dropUnsupported) : undefined;
        if (!concession) throw refusal;
        this.#remember(call.upstreamModel, concession);
        if (concession.dropped) droppedParams.push(concession.dropped);
        body = concession.body;
      }
    }
  }

  #post(body: WireObject, call: ProviderCall): Promise<Response> {
    const headers = {
      [this.dialect.requestIdHeader]: call.requestId,
      ...(call.traceparent ? { traceparent: call.traceparent } : {}),
    };
    return this.#completions.send(body, headers, abortSignalOf(call.signal));
  }

  #dialectFor(model: string): OpenAiDialect {
    const field = this.#outputLimitFields.get(model);
    if (!field && !this.#withoutStreamOptions) return this.dialect;
    return {
      ...this.dialect,
      ...(field ? { outputLimitField: () => field } : {}),
      ...(this.#withoutStreamOptions ? { streamUsage: false } : {}),
    };
  }

  #remember(model: string, concession: Concession): void {
    if (concession.withoutStreamOptions) this.#withoutStreamOptions = true;
    if (!concession.outputLimitField || this.#outputLimitFields.size >= MAX_REMEMBERED_MODELS) return;
    this.#outputLimitFields.set(model, concession.outputLimitField);
  }

  #context(call: ProviderCall): StreamContext {
    return {
      clientModel: call.clientModel,
      requestId: call.requestId,
      dialect: this.dialect,
      usageAsked: call.request.stream_options?.include_usage === true,
    };
  }
}

/** Not every server has a model list; that it said so shows that it is there. */
function isWithoutModelList(error: Error): boolean {
  return error instanceof ProviderError && (error.upstreamStatus === 404 || error.upstreamStatus === 405);
}

function requestIdOf(response: Response): string | undefined {
  return response.headers.get('x-request-id') ?? response.headers.get('apim-request-id') ?? undefined;
}
