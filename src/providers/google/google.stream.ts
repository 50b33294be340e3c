import {
  type ChatChunk,
  type ChatChunkChoice,
  type ChatStreamEvent,
  type FinishReason,
  toCompletionUsage,
  type Usage,
  JsonBoundsError,
  parseEventJson,
} from '@app/contracts';
import { CandidateTranslator } from './google.candidate.js';
import { badResponse, isErrorBody, toBodyProviderError, toUnreadable } from './google.errors.js';
import {
  type AnswerContext,
  answerFields,
  blockedChoice,
  candidateOptions,
  envelope,
  feedback,
  paidSearches,
  rawUsage,
  readAnswer,
  serviceTier,
} from './google.response.js';
import { toUsage } from './google.usage.js';
import { type GeminiResponse, isObject, type JsonObject, text } from './google.wire.js';

/** Some proxies close a stream in OpenAI's way; Google itself never does. */
const DONE = '[DONE]';

/**
 * Chunks of `streamGenerateContent` -> events of `chat.completion.chunk`.
 *
 * Every chunk is an answer of its own, with running totals of the usage. Nothing but a finish reason (or a blocked
 * prompt) says that the answer is complete: Google ends the body, and so does a cut connection.
 */
export class GeminiStreamTranslator {
  readonly #candidates = new Map<number, CandidateTranslator>();
  #envelope: ReturnType<typeof envelope> | undefined;
  #blocked = false;
  #usage: Usage | undefined;
  #promptTokens: unknown;
  #lastResponse: GeminiResponse | undefined;
  #searches = 0;

  constructor(private readonly context: AnswerContext) {}

  /**
   * @param json  one chunk, as text
   * @throws ProviderError  for an error object and for what is no JSON object
   */
  take(json: string): ChatStreamEvent[] {
    if (json.trim() === DONE) return [];
    const response = readAnswer(parseChunk(json, this.#candidates.size > 0));
    this.#takeUsage(response);
    this.#envelope ??= envelope(response, this.context);
    const choices = this.#takeChoices(response);
    const fields = answerFields({ ...response.others, ...feedback(response) });
    if (choices.length === 0 && fields.provider_specific_fields === undefined) return [];
    return [this.#event({ choices, ...fields })];
  }

  /**
   * The body has ended.
   *
   * @throws ProviderError `provider_bad_response` when the answer isn't complete
   */
  end(): ChatStreamEvent[] {
    const all = [...this.#candidates.values()];
    const complete = all.length > 0 && all.every((candidate) => candidate.finished);
    if (!complete && !this.#blocked) throw badResponse('The answer of Google ended before it was complete.');
    return this.#usage && this.#lastResponse ? [this.#usageEvent(this.#usage, this.#lastResponse)] : [];
  }

  #takeUsage(response: GeminiResponse): void {
    this.#searches = Math.max(this.#searches, paidSearches(response.candidates, this.context));
    const metadata = this.#withPrompt(response.usageMetadata);
    const usage = toUsage(metadata, this.#searches);
    if (!usage) return;
    this.#usage = usage;
    this.#lastResponse = response;
  }

  /** A chunk that leaves the prompt's count out has the one of the chunks before: without it its other counts were lost. */
  #withPrompt(metadata: JsonObject | undefined): JsonObject | undefined {
    const promptTokenCount = metadata?.promptTokenCount ?? this.#promptTokens;
    this.#promptTokens = promptTokenCount;
    return metadata && promptTokenCount !== undefined ? { ...metadata, promptTokenCount } : metadata;
  }

  #takeChoices(response: GeminiResponse): ChatChunkChoice[] {
    if (response.candidates.length === 0) return this.#takeBlock(response);
    const choices = response.candidates.map((candidate) =>
      this.#candidate(candidate.index, response).take(candidate),
    );
    return choices.filter((choice) => choice !== undefined);
  }

  #candidate(index: number, response: GeminiResponse): CandidateTranslator {
    const known = this.#candidates.get(index);
    if (known) return known;
    const added = new CandidateTranslator(index, candidateOptions(response, this.context));
    this.#candidates.set(index, added);
    return added;
  }

  /** Google may find fault with the prompt when a part of the answer is out: what it has not ended then never ends. */
  #takeBlock(response: GeminiResponse): ChatChunkChoice[] {
    if (this.#blocked || !text(response.promptFeedback?.blockReason)) return [];
    this.#blocked = true;
    const choice = blockedChoice(response);
    if (this.#candidates.size === 0) return [choice];
    const open = [...this.#candidates.values()].filter((candidate) => !candidate.finished);
    return open.map((candidate) => candidate.block(choice));
  }

  #event(fields: Partial<ChatChunk> & Pick<ChatChunk, 'choices'>): ChatStreamEvent {
    return {
      json: this.#chunk(fields),
      outputText: fields.choices.map(outputText).join(''),
      usage: this.#usage,
      usageOnly: false,
      finishReason: finishOfFirst(fields.choices),
    };
  }

  #usageEvent(usage: Usage, response: GeminiResponse): ChatStreamEvent {
    const fields = {
      choices: [],
      usage: toCompletionUsage(usage),
      ...serviceTier(response),
      ...answerFields(rawUsage(response)),
    };
    return { json: this.#chunk(fields), outputText: '', usage, usageOnly: true };
  }

  #chunk(fields: JsonObject): string {
    return JSON.stringify({ ...this.#envelope, object: 'chat.completion.chunk', ...fields });
  }
}

function parseChunk(json: string, begun: boolean): JsonObject {
  const body = parse(json);
  const chunk: unknown = Array.isArray(body) && body.length === 1 ? body[0] : body;
  if (isErrorBody(chunk)) throw toBodyProviderError(chunk, begun);
  if (!isObject(chunk)) throw badResponse('Google sent a chunk that is not a JSON object.');
  return chunk;
}

function parse(json: string): unknown {
  try {
    return parseEventJson(json);
  } catch (error) {
    if (error instanceof JsonBoundsError) throw toUnreadable(error);
    throw badResponse('Google sent a chunk that is not JSON.', error);
  }
}

/** What the model wrote, as far as it is text: answer, thoughts, arguments of calls. */
function outputText({ delta }: ChatChunkChoice): string {
  const calls = delta.tool_calls?.map((call) => call.function?.arguments ?? '') ?? [];
  return (delta.reasoning_content ?? '') + (delta.content ?? '') + calls.join('');
}

function finishOfFirst(choices: readonly ChatChunkChoice[]): FinishReason | undefined {
  return choices.find((choice) => choice.index === 0)?.finish_reason ?? undefined;
}
