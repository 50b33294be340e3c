import type OpenAI from 'openai';
import {
  ProviderError,
  type ProviderAnswer,
  type ProviderCall,
  type ProviderStrategy,
  type ProviderStream,
} from '@app/contracts';
import { type PostAnswer, type PostResponse, PreparedPost, readRefusal } from '../http/prepared-post.js';
import { ChatEventStream } from './chat-event-stream.js';
import { withoutClosed } from './closed-params.js';
import { completionEvents } from './completion-events.js';
import { concede, type Concession } from './concessions.js';
import { negotiate, type Sent } from './negotiate-request.js';
import type { OpenAiDialect } from './openai-compatible.dialect.js';
import { badResponse, requestIdIn, toProviderError } from './openai-compatible.errors.js';
import { toWireRequest } from './openai-compatible.request.js';
import { toChatCompletion } from './openai-compatible.response.js';
import { ChatStreamTranslator, type StreamContext } from './openai-compatible.stream.js';
import { readUsage } from './openai-compatible.usage.js';
import { asObject, parseAnswer, type WireObject } from './openai-compatible.wire.js';
import { refusalOf } from './refusal.js';

const MAX_REMEMBERED_MODELS = 500;

const NOTHING: readonly string[] = [];

/** Chat completions of any server that speaks OpenAI's dialect. I/O only; the form of everything is in the pure files. */
export class OpenAiCompatibleStrategy implements ProviderStrategy {
  readonly providerName: string;
  readonly cancelStopsBilling: boolean;
  /** Dialects that turned out to be different, by model: behind one address there may be servers of many kinds. */
  readonly #learnt = new Map<string, OpenAiDialect>();
  readonly #completions: PreparedPost;

  constructor(
    private readonly client: OpenAI,
    private readonly dialect: OpenAiDialect,
  ) {
    this.providerName = dialect.providerName;
    this.#completions = new PreparedPost(client, '/chat/completions');
    this.cancelStopsBilling = dialect.cancelStopsBilling;
  }

  complete(call: ProviderCall): Promise<ProviderAnswer> {
    return withoutClosed(call, this.dialect.closedParams(call), (open) => this.#complete(open));
  }

  stream(call: ProviderCall): Promise<ProviderStream> {
    return withoutClosed(call, this.dialect.closedParams(call), (open) => this.#stream(open));
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

  /** The ordinary path has no async function: one promise for the answer, one for what is made of it. */
  #complete(call: ProviderCall): Promise<ProviderAnswer> {
    try {
      const body = this.#wireRequest(call, false);
      return this.#completions.whole(body, this.#headers(call), call.signal).then(
        (answer) =>
          answer.ok
            ? this.#toAnswer(answer, call, NOTHING)
            : this.#completeOnTerms(call, body, refusalOf(answer)),
        (thrown: unknown) => this.#completeOnTerms(call, body, thrown),
      );
    } catch (error) {
      return Promise.reject(toProviderError(error, call.signal));
    }
  }

  async #stream(call: ProviderCall): Promise<ProviderStream> {
    try {
      const body = this.#wireRequest(call, true);
      const { answer, droppedParams } = await this.#begin(call, body).then(
        (answer) => ({ answer, droppedParams: NOTHING }),
        (thrown: unknown) => this.#negotiate(call, body, thrown, (corrected) => this.#begin(call, corrected)),
      );
      return {
        events: await this.#events(answer, call),
        providerRequestId: requestIdIn(answer.headers),
        droppedParams,
      };
    } catch (error) {
      throw toProviderError(error, call.signal);
    }
  }

  async #begin(call: ProviderCall, body: WireObject): Promise<PostResponse> {
    const response = await this.#completions.begin(body, this.#headers(call), call.signal);
    if (response.ok) return response;
    throw await refusalOf(await readRefusal(response));
  }

  #toAnswer(answer: PostAnswer, call: ProviderCall, droppedParams: readonly string[]): ProviderAnswer {
    try {
      const body = parseAnswer(answer.text);
      const usage = readUsage(asObject(body)?.usage);
      return {
        completion: toChatCompletion(body, this.#context(call), usage),
        usage,
        providerRequestId: requestIdIn(answer.headers),
        droppedParams,
      };
    } catch (error) {
      throw toProviderError(error, call.signal);
    }
  }

  async #completeOnTerms(call: ProviderCall, body: WireObject, failure: unknown): Promise<ProviderAnswer> {
    const headers = this.#headers(call);
    const { answer, droppedParams } = await this.#negotiate(call, body, await failure, async (corrected) => {
      const answer = await this.#completions.whole(corrected, headers, call.signal);
      if (answer.ok) return answer;
      throw await refusalOf(answer);
    });
    return this.#toAnswer(answer, call, droppedParams);
  }

  /** A server that cannot stream sends a whole answer instead. */
  async #events(response: PostResponse, call: ProviderCall): Promise<ProviderStream['events']> {
    const context = this.#context(call);
    if (response.headers.get('content-type')?.includes('application/json')) {
      return completionEvents(toChatCompletion(parseAnswer(await response.text()), context), context);
    }
    if (!response.body) throw badResponse('The provider answered without a body.');
    return new ChatEventStream(response.body, new ChatStreamTranslator(context), call.signal);
  }

  #negotiate<Answer>(
    call: ProviderCall,
    refused: WireObject,
    failure: unknown,
    post: (body: WireObject) => Promise<Answer>,
  ): Promise<Sent<Answer>> {
    const onConceded = (concessions: readonly Concession[]): void =>
      this.#learn(call.upstreamModel, concessions);
    const { reasoningName } = this.#dialectFor(call.upstreamModel);
    return negotiate(refused, failure, {
      call,
      concede: (body, refusal, mayDrop) => concede(body, refusal, mayDrop, reasoningName),
      post,
      onConceded,
    });
  }

  #wireRequest(call: ProviderCall, stream: boolean): WireObject {
    return toWireRequest(call, this.#dialectFor(call.upstreamModel), stream);
  }

  #headers(call: ProviderCall): string[] {
    const { requestIdHeader } = this.dialect;
    return call.traceparent
      ? [requestIdHeader, call.requestId, 'traceparent', call.traceparent]
      : [requestIdHeader, call.requestId];
  }

  #dialectFor(model: string): OpenAiDialect {
    return this.#learnt.get(model) ?? this.dialect;
  }

  #learn(model: string, concessions: readonly Concession[]): void {
    for (const { learned } of concessions)
      if (learned) this.#remember(model, { ...this.#dialectFor(model), ...learned });
  }

  /** If reasoning was refused before, that may have been for the other name. */
  #learnReasoningName(model: string): void {
    const before = this.#dialectFor(model);
    if (before.reasoningName === 'reasoning') return;
    this.#remember(model, { ...before, takesReasoningContent: true, reasoningName: 'reasoning' });
  }

  #remember(model: string, after: OpenAiDialect): void {
    if (this.#learnt.has(model) || this.#learnt.size < MAX_REMEMBERED_MODELS) this.#learnt.set(model, after);
  }

  #context(call: ProviderCall): StreamContext {
    const { upstreamModel: model } = call;
    const isToLearn =
      this.dialect.takesReasoningContent && this.#dialectFor(model).reasoningName !== 'reasoning';
    return {
      clientModel: call.clientModel,
      requestId: call.requestId,
      dialect: this.dialect,
      usageAsked: call.request.stream_options?.include_usage === true,
      onReasoning: isToLearn ? () => this.#learnReasoningName(model) : undefined,
    };
  }
}

/** Not every server has a list of models; if it says so, it is up. */
function isWithoutModelList(error: Error): boolean {
  return error instanceof ProviderError && (error.upstreamStatus === 404 || error.upstreamStatus === 405);
}
