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
import { ExactJsonParser, losesDigits } from '../../text/exact-json.js';
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

/** Some proxies end a stream as OpenAI does; Google itself never does. */
const DONE = '[DONE]';

/**
 * Chunks of `streamGenerateContent` -> events of `chat.completion.chunk`.
 *
 * Every chunk is an answer of its own, with running totals of the usage. Only a finish reason (or a blocked prompt) shows that the
 * answer is complete: a cut connection ends the body, too.
 */
export class GeminiStreamTranslator {
  readonly #candidates = new Map<number, CandidateTranslator>();
  /** The fields that all chunks share, as JSON without the closing brace. */
  #head: string | undefined;
  #blocked = false;
  #usage: Usage | undefined;
  #promptTokens: unknown;
  #lastResponse: GeminiResponse | undefined;
  #searches = 0;

  constructor(private readonly context: AnswerContext) {}

  /**
   * @param json  one chunk, as text
   * @throws ProviderError  for an error object, and for anything but a JSON object
   */
  take(json: string): ChatStreamEvent[] {
    if (json.trim() === DONE) return [];
    const response = readAnswer(parseChunk(json, this.#candidates.size > 0));
    this.#takeUsage(response);
    this.#head ??= chunkHead(response, this.context);
    const ends: ChatChunkChoice[] = [];
    const choices = this.#takeChoices(response).map((choice) =>
      choice.finish_reason === null ? choice : wordsOf(choice, ends),
    );
    const { others, promptFeedback } = response;
    const fields = others || promptFeedback ? answerFields({ ...others, ...feedback(response) }) : undefined;
    const events = choices.length > 0 || fields ? [this.#event({ choices, ...fields })] : [];
    if (ends.length > 0) events.push(this.#event({ choices: ends }));
    return events;
  }

  /**
   * The body has ended.
   *
   * @throws ProviderError `provider_bad_response` if the answer isn't complete
   */
  end(): ChatStreamEvent[] {
    const all = [...this.#candidates.values()];
    const complete = all.length > 0 && all.every((candidate) => candidate.finished);
    if (!complete && !this.#blocked) throw badResponse("Google's answer ended before it was complete.");
    return this.#usage && this.#lastResponse ? [this.#usageEvent(this.#usage, this.#lastResponse)] : [];
  }

  #takeUsage(response: GeminiResponse): void {
    this.#searches = Math.max(this.#searches, paidSearches(response.candidates, this.context));
    const usage = toUsage(this.#withPrompt(response.usageMetadata), this.#searches);
    if (!usage) return;
    this.#usage = usage;
    this.#lastResponse = response;
  }

  /** A chunk without the prompt's count gets the last known one; otherwise its other counts would be lost. */
  #withPrompt(metadata: JsonObject | undefined): JsonObject | undefined {
    const told = metadata?.promptTokenCount ?? undefined;
    if (told !== undefined) {
      this.#promptTokens = told;
      return metadata;
    }
    const promptTokenCount = this.#promptTokens;
    return metadata && promptTokenCount !== undefined ? { ...metadata, promptTokenCount } : metadata;
  }

  #takeChoices(response: GeminiResponse): ChatChunkChoice[] {
    if (response.candidates.length === 0) return this.#takeBlock(response);
    const choices: ChatChunkChoice[] = [];
    for (const candidate of response.candidates) {
      const choice = this.#candidate(candidate.index, response).take(candidate);
      if (choice) choices.push(choice);
    }
    return choices;
  }

  #candidate(index: number, response: GeminiResponse): CandidateTranslator {
    const known = this.#candidates.get(index);
    if (known) return known;
    const added = new CandidateTranslator(index, candidateOptions(response, this.context));
    this.#candidates.set(index, added);
    return added;
  }

  /** Google may block the prompt after a part of the answer was sent: candidates without a finish reason never get one then. */
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
      outputText: outputText(fields.choices),
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
    return `${this.#head},${JSON.stringify(fields).slice(1)}`;
  }
}

/** Fields of a delta that belong to the answer as a whole. */
const CLOSING = new Set(['refusal', 'annotations', 'extra_content', 'provider_specific_fields']);

/**
 * Google sends the finish with the last words, OpenAI after them. Some clients ignore all else in a chunk that has a finish.
 *
 * @param ends  receives the finish if there are words in the chunk
 */
function wordsOf(choice: ChatChunkChoice, ends: ChatChunkChoice[]): ChatChunkChoice {
  const { delta, logprobs, ...rest } = choice;
  const fields = Object.entries(delta);
  const words = fields.filter(([name]) => !CLOSING.has(name));
  if (words.every(([name]) => name === 'role')) return choice;
  ends.push({ ...rest, delta: Object.fromEntries(fields.filter(([name]) => CLOSING.has(name))) });
  const said = { index: choice.index, delta: Object.fromEntries(words), finish_reason: null };
  return logprobs === undefined ? said : { ...said, logprobs };
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
    const chunk: unknown = parseEventJson(json);
    // Digits matter only in arguments: looking for them in each chunk of text would cost time.
    return json.includes('"functionCall"') && losesDigits(json) ? new ExactJsonParser().parse(json) : chunk;
  } catch (error) {
    if (error instanceof JsonBoundsError) throw toUnreadable(error);
    throw badResponse('Google sent a chunk that is not JSON.', error);
  }
}

function chunkHead(response: GeminiResponse, context: AnswerContext): string {
  return JSON.stringify({ ...envelope(response, context), object: 'chat.completion.chunk' }).slice(0, -1);
}

/** The text that the model wrote: answer, thoughts, arguments of calls. */
function outputText(choices: readonly ChatChunkChoice[]): string {
  let written = '';
  for (const { delta } of choices) {
    written += (delta.reasoning_content ?? '') + (delta.content ?? '');
    for (const call of delta.tool_calls ?? []) written += call.function?.arguments ?? '';
    if (isObject(delta.function_call)) written += text(delta.function_call.arguments) ?? '';
  }
  return written;
}

function finishOfFirst(choices: readonly ChatChunkChoice[]): FinishReason | undefined {
  return choices.find((choice) => choice.index === 0)?.finish_reason ?? undefined;
}
