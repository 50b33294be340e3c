import type { ChatChunkChoice, ChatDelta, FinishReason, ToolCallDelta } from '@app/contracts';
import { toAnnotations } from './google.annotations.js';
import { toLogprobs } from './google.logprobs.js';
import { TurnRecorder } from './google.turn.js';
import {
  type GeminiCandidate,
  type GeminiFunctionCall,
  type GeminiPart,
  isObject,
  type JsonObject,
  text,
  toSnakeCase,
  without,
} from './google.wire.js';

export interface CandidateOptions {
  /** Prefix of the ids of calls to which Gemini gave none; unique for the answer. */
  readonly callIdBase: string;
  /** The client uses the dialect before `tools`: the call goes into `function_call`. */
  readonly legacyFunctions: boolean;
  /** Only the first call of a turn is kept, as if the model had not made the others. */
  readonly oneCall: boolean;
  /** Keeps the text for citations, which is worth the memory only if a tool that cites was offered. */
  readonly citesSources: boolean;
}

const IMAGE = /^image\//;
const CALL_PART_KEYS = new Set(['functionCall', 'thoughtSignature']);
const CALL_KEYS = new Set(['name', 'args', 'id']);
const IMAGE_PART_KEYS = new Set(['inlineData']);

/**
 * One candidate of an answer, whole or chunk by chunk -> choices of an OpenAI answer.
 *
 * Text, thoughts, images and calls are passed on as they come. The layout from which a later request rebuilds the turn (see
 * google.turn.ts) is sent once, with the finish: so clients that overwrite unknown delta fields get it, and those that concatenate
 * them, too.
 */
export class CandidateTranslator {
  readonly #turn = new TurnRecorder();
  readonly #texts: string[] = [];
  #begun = false;
  #finished = false;
  #answered = false;
  #calls = 0;
  #images = 0;
  /** Of the answer's text. It has to be sent back, on whichever part. */
  #textSignature: string | undefined;
  #grounding: JsonObject | undefined;
  /** How often citations may still be tried: at the finish, and once after it. */
  #citesLeft = 2;

  constructor(
    private readonly index: number,
    private readonly options: CandidateOptions,
  ) {}

  get finished(): boolean {
    return this.#finished;
  }

  /** `undefined` if the chunk has nothing for the client. */
  take(candidate: GeminiCandidate): ChatChunkChoice | undefined {
    const delta: ChatDelta = this.#begun ? {} : { role: 'assistant' };
    this.#begun = true;
    for (const part of candidate.parts) this.#takePart(part, delta);
    const isOpen = !this.#finished;
    const isGrounded = this.#ground(candidate.groundingMetadata);
    const choice: ChatChunkChoice = { index: this.index, delta, finish_reason: null };
    this.#addMetadata(candidate, choice);
    if (candidate.finishReason !== undefined && !this.#finished) this.#finish(candidate, choice);
    if (this.#finished && (isOpen || isGrounded)) this.#cite(choice.delta);
    return isSilent(choice) ? undefined : choice;
  }

  /**
   * Ends the candidate, because the prompt was blocked.
   *
   * @param blocked  the choice for a client that has received nothing yet
   */
  block(blocked: ChatChunkChoice): ChatChunkChoice {
    this.#finished = true;
    const delta = this.#answered ? {} : { refusal: blocked.delta.refusal };
    return { ...blocked, index: this.index, delta: this.#withTurn(delta) };
  }

  #takePart(part: GeminiPart, delta: ChatDelta): void {
    if (isObject(part.functionCall)) this.#takeCall(part, part.functionCall, delta);
    else if (typeof part.text === 'string') this.#takeText(part, part.text, delta);
    else if (isImage(part)) this.#takeImage(part, delta);
    else this.#turn.opaque(part);
  }

  #takeText(part: GeminiPart, text: string, delta: ChatDelta): void {
    this.#turn.text(part);
    if (part.thoughtSignature !== undefined && part.thought !== true)
      this.#textSignature = part.thoughtSignature;
    if (text === '') return;
    if (part.thought === true) {
      delta.reasoning_content = (delta.reasoning_content ?? '') + text;
      return;
    }
    this.#answered = true;
    if (this.options.citesSources) this.#texts.push(text);
    delta.content = (delta.content ?? '') + text;
  }

  #takeCall(part: GeminiPart, call: GeminiFunctionCall, delta: ChatDelta): void {
    this.#answered = true;
    // They are not in the layout either: Gemini requires a result for each call of a turn that is sent back.
    if (this.options.oneCall && this.#calls > 0) return;
    const index = this.#calls++;
    if (this.options.legacyFunctions) return this.#takeLegacyCall(part, call, delta);
    this.#turn.toolCall(index);
    (delta.tool_calls ??= []).push({
      index,
      id: text(call.id) || `${this.options.callIdBase}_${this.index}_${index}`,
      type: 'function',
      function: functionOf(call),
      ...callFields(part, call),
    });
  }

  /** The legacy dialect has no place for a signature, so the layout keeps it. */
  #takeLegacyCall(part: GeminiPart, call: GeminiFunctionCall, delta: ChatDelta): void {
    delta.function_call = functionOf(call);
    this.#turn.opaque(part);
  }

  #takeImage(part: GeminiPart, delta: ChatDelta): void {
    this.#answered = true;
    const index = this.#images++;
    this.#turn.image(index, without(part, IMAGE_PART_KEYS));
    const url = `data:${part.inlineData?.mimeType};base64,${part.inlineData?.data}`;
    const image = { index, type: 'image_url', image_url: { url } };
    if (Array.isArray(delta.images)) delta.images.push(image);
    else delta.images = [image];
  }

  /** Ratings, grounding, citations and token probabilities stay with the chunk that they came with. */
  #addMetadata(candidate: GeminiCandidate, choice: ChatChunkChoice): void {
    const { metadata, finishReason } = candidate;
    if (metadata || isLossy(finishReason)) {
      const fields = Object.entries(metadata ?? {}).filter(([, value]) => !isEmpty(value));
      if (isLossy(finishReason)) fields.push(['finishReason', finishReason]);
      if (fields.length > 0) {
        choice.provider_specific_fields = Object.fromEntries(
          fields.map(([key, value]) => [toSnakeCase(key), value]),
        );
      }
    }
    if (candidate.logprobsResult) choice.logprobs = toLogprobs(candidate.logprobsResult);
  }

  #finish(candidate: GeminiCandidate, choice: ChatChunkChoice): void {
    this.#finished = true;
    choice.finish_reason = this.#finishReason(candidate.finishReason);
    const { delta } = choice;
    if (choice.finish_reason === 'content_filter' && !this.#answered) delta.refusal = refusalOf(candidate);
    choice.delta = this.#withTurn(delta);
  }

  /** Chunks may leave out what those before them have said. */
  #ground(metadata: JsonObject | undefined): boolean {
    if (!metadata || isEmpty(metadata)) return false;
    const { groundingChunks = this.#grounding?.groundingChunks } = metadata;
    const { groundingSupports = this.#grounding?.groundingSupports } = metadata;
    this.#grounding = { groundingChunks, groundingSupports };
    return true;
  }

  #cite(delta: ChatDelta): void {
    if (!this.#grounding || this.#citesLeft === 0) return;
    const annotations = toAnnotations(this.#grounding, this.#texts.join(''));
    this.#citesLeft = annotations.length > 0 ? 0 : this.#citesLeft - 1;
    if (annotations.length > 0) delta.annotations = annotations;
  }

  #withTurn(delta: ChatDelta): ChatDelta {
    const parts = this.#turn.layout();
    if (!parts) return delta;
    return { ...delta, ...extraContent(this.#textSignature), provider_specific_fields: { parts } };
  }

  /** A call also ends in `STOP`, so the parts decide. */
  #finishReason(reason: string | undefined): FinishReason {
    const finish = toFinishReason(reason);
    if (finish !== 'stop' || this.#calls === 0) return finish;
    return this.options.legacyFunctions ? 'function_call' : 'tool_calls';
  }
}

/** The reasons of a complete answer, and of one that reached a limit. */
const ENDS: Readonly<Record<string, FinishReason>> = {
  STOP: 'stop',
  MAX_TOKENS: 'length',
  CONTINUATION: 'length',
};

/**
 * Gemini's reason -> OpenAI's. With any other reason (SAFETY, MALFORMED_FUNCTION_CALL, OTHER, …) Google cut the answer off or
 * withheld it, and new reasons appear now and then. As a `stop`, nobody would notice that the answer is incomplete.
 */
function toFinishReason(reason = 'STOP'): FinishReason {
  return (Object.hasOwn(ENDS, reason) ? ENDS[reason] : undefined) ?? 'content_filter';
}

/** OpenAI's reason says less than Gemini's, so the original is given, too. */
function isLossy(reason: string | undefined): boolean {
  return reason !== undefined && reason !== 'STOP' && reason !== 'MAX_TOKENS';
}

function refusalOf(candidate: GeminiCandidate): string {
  const message = candidate.metadata?.finishMessage;
  return typeof message === 'string' && message !== ''
    ? message
    : `Google withheld the answer: ${candidate.finishReason}.`;
}

function functionOf(call: GeminiFunctionCall): { name: string; arguments: string } {
  return { name: text(call.name) ?? '', arguments: JSON.stringify(call.args ?? {}) };
}

/** The signature of the call's part, and all other fields of the part and the call. */
function callFields(part: GeminiPart, call: GeminiFunctionCall): Partial<ToolCallDelta> {
  const partFields = without(part, CALL_PART_KEYS);
  const callOthers = without({ ...call }, CALL_KEYS);
  const fields = {
    ...(part.thoughtSignature === undefined ? {} : { thought_signature: part.thoughtSignature }),
    ...(partFields ? { part: partFields } : {}),
    ...(callOthers ? { function_call: callOthers } : {}),
  };
  if (Object.keys(fields).length === 0) return {};
  return { ...extraContent(part.thoughtSignature), provider_specific_fields: fields };
}

/** Where Google's own OpenAI-compatible endpoint puts a signature, and where other clients look for it. */
function extraContent(signature: unknown): { extra_content?: JsonObject } {
  return typeof signature !== 'string' ? {} : { extra_content: { google: { thought_signature: signature } } };
}

function isImage(part: GeminiPart): boolean {
  const media = part.inlineData;
  return (
    isObject(media) &&
    typeof media.mimeType === 'string' &&
    IMAGE.test(media.mimeType) &&
    typeof media.data === 'string' &&
    part.thought !== true
  );
}

function isEmpty(value: unknown): boolean {
  if (value === null || value === undefined) return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

function isSilent(choice: ChatChunkChoice): boolean {
  return (
    choice.finish_reason === null &&
    Object.keys(choice.delta).length === 0 &&
    choice.logprobs === undefined &&
    choice.provider_specific_fields === undefined
  );
}
