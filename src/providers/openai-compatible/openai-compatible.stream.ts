import { writtenText, type ChatStreamEvent, type FinishReason, type Usage } from '@app/contracts';
import { unixSeconds } from '../translation/unix-seconds.js';
import type { EventTranslator } from './chat-event-stream.js';
import type { ChunkRun } from './chunk-run.js';
import { ChoiceState, type NormalisedChoice } from './choice-state.js';
import { ChunkTemplate, type RewrittenChunk } from './chunk-template.js';
import { errorIn } from './error-body.js';
import { badResponse, bodyError } from './openai-compatible.errors.js';
import { finishReason } from './openai-compatible.finish.js';
import { requireFewParts } from './openai-compatible.parts.js';
import { hasAt } from './scan-delta.js';
import type { AnswerContext } from './openai-compatible.response.js';
import { completionUsage, readUsage } from './openai-compatible.usage.js';
import {
  asArray,
  asObject,
  asText,
  asUnixSeconds,
  parseEvent,
  type WireObject,
} from './openai-compatible.wire.js';

export interface StreamContext extends AnswerContext {
  /** The client asked for usage: then all chunks but the last have `usage: null`, as OpenAI's do. */
  readonly usageAsked: boolean;
}

/** Frames worth remembering: one for each choice of a request with `n`. */
const MAX_TEMPLATES = 4;
/** After so many templates in a row that fitted no chunk, the stream counts as one whose chunks have nothing in common. */
const MAX_FRUITLESS_LESSONS = 6;
/** How events begin and end, once line ends are LF; any other form takes the slower path. */
const DATA = 'data: ';
const EVENT_END = '\n\n';
/** OpenAI's own limit for `n` is 128. */
const MAX_CHOICES = 256;

/**
 * The data of a stream's events -> the client's chunks. Pure; one for each stream.
 *
 * Ordinary chunks (a piece of text) are rewritten without parsing, see `ChunkTemplate`. All others are parsed, normalised and
 * written again.
 *
 * @throws ProviderError  from `take` for an error or what is no chunk, from `finish` for a stream that was cut
 */
export class ChatStreamTranslator implements EventTranslator {
  /** On this wire that is `[DONE]`, which never comes here. */
  readonly complete = false;
  #templates: ChunkTemplate[] = [];
  #fruitlessLessons = 0;
  /** Some call has no arguments yet: chunks are parsed until it has some, or the answer ends. */
  #looksAtCalls = false;
  /** Nearly always only one: a map would cost more than it saves. */
  #choices: readonly ChoiceState[] = [];
  #id: string | undefined;
  #created: number | undefined;
  #usage: Usage | undefined;
  #usageBlock: unknown;
  #usageShown = false;
  #hasText = false;
  /** Fields of chunks before the first choice (Azure's prompt filter): they go out with the first chunk that has one. */
  #prelude: WireObject | undefined;
  /** The chunk with the finish, while calls lack something: the gateway adds it there, unless the server still sends it. */
  #held: HeldChunk | undefined;

  constructor(private readonly context: StreamContext) {}

  /** One event's data, which is not `[DONE]`. */
  take(json: string, out: ChatStreamEvent[]): void {
    const known = this.#rewriteAt(json, 0);
    if (known?.end === json.length) out.push(event(known.json, known.outputText, undefined));
    else this.#takeParsed(json, out);
  }

  /** The same for a chunk that was parsed already. */
  takeChunk(chunk: WireObject, out: ChatStreamEvent[]): void {
    const error = errorIn(chunk);
    if (error) throw bodyError(error, this.begun);
    requireFewParts(chunk);
    this.#noteUsage(chunk);
    const choices = asArray(chunk.choices);
    if (choices.length === 0) this.#takeWithoutChoice(chunk, out);
    else this.#takeChoices(chunk, choices, out);
  }

  /** Ordinary chunks are recognised in the text: their events are not even split into lines. */
  skim(text: string, start: number, run: ChunkRun): number {
    let at = start;
    while (this.#templates.length > 0 && hasAt(text, DATA, at)) {
      const chunk = this.#rewriteAt(text, at + DATA.length);
      if (!chunk || !hasAt(text, EVENT_END, chunk.end)) break;
      run.add(chunk);
      at = chunk.end + EVENT_END.length;
    }
    return at;
  }

  finish(out: ChatStreamEvent[], isDone: boolean): void {
    if (isDone && this.#hasText && !this.#choices.some((choice) => choice.finish)) this.#end(out);
    if (this.#choices.length === 0) throw badResponse('The provider ended the stream without an answer.');
    for (const choice of this.#choices) {
      if (!choice.finish) throw badResponse('The provider ended the stream before the answer was complete.');
    }
    this.#release(out, true);
    if (this.#usage && !this.#usageShown) out.push(this.#usageEvent({ choices: [] }));
  }

  /** Something of the answer has been seen. */
  get begun(): boolean {
    return this.#choices.length > 0;
  }

  /**
   * Some servers (vllm-mlx, NIM, OpenAI itself for audio) give no reason for an answer that simply ended. Clients want one:
   * openai-node throws without.
   */
  #end(out: ChatStreamEvent[]): void {
    const choices = this.#choices.map(({ index, hasToolCalls }) => ({
      index,
      delta: {},
      finish_reason: hasToolCalls ? 'tool_calls' : 'stop',
    }));
    this.takeChunk({ choices }, out);
  }

  #rewriteAt(text: string, at: number): RewrittenChunk | undefined {
    if (this.#looksAtCalls) return undefined;
    for (const template of this.#templates) {
      const chunk = template.rewriteAt(text, at);
      if (chunk) {
        this.#fruitlessLessons = 0;
        this.#hasText ||= chunk.outputText !== '';
        return chunk;
      }
    }
    return undefined;
  }

  #takeParsed(json: string, out: ChatStreamEvent[]): void {
    if (json === '') return; // keeps the connection alive
    const chunk = asObject(parseEvent(json));
    if (!chunk) throw badResponse('The provider sent an event that is not a JSON object.');
    this.takeChunk(chunk, out);
    if (asArray(chunk.choices).length > 0) this.#learn(json, chunk);
  }

  #learn(json: string, chunk: WireObject): void {
    if (this.#looksAtCalls || this.#fruitlessLessons >= MAX_FRUITLESS_LESSONS) return;
    const template = ChunkTemplate.learn(json, chunk, (frame) => this.#normaliseFrame(frame));
    if (!template) return;
    this.#fruitlessLessons += 1;
    this.#templates = [template, ...this.#templates.slice(0, MAX_TEMPLATES - 1)];
  }

  /** Rewritten chunks would keep the server's own indexes. */
  #learnNothingMore(): void {
    this.#templates = [];
    this.#fruitlessLessons = MAX_FRUITLESS_LESSONS;
  }

  #noteUsage(chunk: WireObject): void {
    const block = chunk.usage ?? asObject(chunk.x_groq)?.usage ?? asObject(asArray(chunk.choices)[0])?.usage;
    const usage = readUsage(block);
    if (!usage) return;
    this.#usage = usage;
    this.#usageBlock = block;
    this.#usageShown = false;
  }

  #takeWithoutChoice(chunk: WireObject, out: ChatStreamEvent[]): void {
    // Before the finish it is not that of the whole answer, and has to wait.
    if (readUsage(chunk.usage) && this.#choices.every((choice) => choice.finish)) {
      this.#release(out, true);
      out.push(this.#usageEvent(chunk));
    } else if (!this.begun) {
      this.#prelude = { ...this.#prelude, ...withoutEnvelope(chunk) };
    } else if (Object.keys(withoutEnvelope(chunk)).length > 0) {
      out.push(event(JSON.stringify(this.#envelope(chunk, [])), '', undefined));
    }
  }

  #usageEvent(chunk: WireObject): ChatStreamEvent {
    this.#usageShown = true;
    const usage = completionUsage(this.#usageBlock, this.#usage);
    const json = JSON.stringify({ ...this.#envelope(chunk, []), usage });
    return { json, outputText: '', usage: this.#usage, usageOnly: true };
  }

  #takeChoices(chunk: WireObject, wireChoices: unknown[], out: ChatStreamEvent[]): void {
    const choices = wireChoices.map((wireChoice, position) =>
      this.#normaliseChoice(asObject(wireChoice) ?? {}, position),
    );
    this.#release(out, false);
    this.#looksAtCalls = this.#choices.some((choice) => choice.hasEmptyCalls);
    const made = { chunk, choices, usage: readUsage(chunk.usage) && this.#usage };
    if (this.#choices.some((choice) => choice.lacksCalls)) this.#held = made;
    else out.push(this.#chunkEvent(made));
  }

  #release(out: ChatStreamEvent[], isLast: boolean): void {
    const held = this.#held;
    if (!held) return;
    this.#held = undefined;
    if (isLast) for (const choice of this.#choices) choice.endCalls(held.choices);
    out.push(this.#chunkEvent(held));
  }

  #chunkEvent({ chunk, choices, usage }: HeldChunk): ChatStreamEvent {
    let text = '';
    let finish: FinishReason | undefined;
    for (const choice of choices) {
      text += writtenText(choice.delta);
      if (choice.index === 0) finish ??= choice.finish_reason ?? undefined;
    }
    this.#hasText ||= text !== '';
    return event(JSON.stringify(this.#envelope(chunk, choices)), text, usage, finish);
  }

  #normaliseChoice(wire: WireObject, position: number): NormalisedChoice {
    if (wire.error) throw bodyError(wire.error, this.begun);
    const index = typeof wire.index === 'number' ? wire.index : position;
    const state = this.#stateOf(index);
    const word = asText(wire.finish_reason);
    const delta = state.normaliseDelta(state.deltaIn(wire));
    if (state.hasRetoldCalls) this.#learnNothingMore();
    const finish_reason =
      word === undefined ? null : finishReason(word, state.hasToolCalls, this.context.dialect);
    state.keepParts(delta, word !== undefined);
    state.finish = finish_reason ?? state.finish;
    const native = word !== undefined && word !== finish_reason && wire.native_finish_reason === undefined;
    const { message: _message, ...rest } = wire;
    return { ...rest, index, delta, finish_reason, ...(native ? { native_finish_reason: word } : {}) };
  }

  #stateOf(index: number): ChoiceState {
    const known = this.#choices.find((choice) => choice.index === index);
    if (known) return known;
    if (this.#choices.length >= MAX_CHOICES)
      throw badResponse('The provider sent more choices than anyone requests.');
    const made = new ChoiceState(index, this.context.onReasoning);
    // By `concat`, as a list that grows in place reserves room for seventeen.
    this.#choices = this.#choices.concat(made);
    return made;
  }

  /** For a frame: everything around the delta, which stays as it is. */
  #normaliseFrame(frame: WireObject): WireObject {
    const choices = asArray(frame.choices).map((choice, position) => ({
      ...asObject(choice),
      index: asObject(choice)?.index ?? position,
      finish_reason: null,
    }));
    return this.#envelope(frame, choices);
  }

  #envelope(chunk: WireObject, choices: unknown[]): WireObject {
    const { usage: _usage, ...rest } = chunk;
    this.#id = asText(chunk.id) ?? this.#id ?? `chatcmpl-${this.context.requestId}`;
    this.#created = asUnixSeconds(chunk.created) ?? this.#created ?? unixSeconds();
    const prelude = choices.length > 0 ? this.#takePrelude() : undefined;
    return {
      ...prelude,
      ...rest,
      id: this.#id,
      object: 'chat.completion.chunk',
      created: this.#created,
      model: this.context.clientModel,
      choices,
      ...(this.context.usageAsked && choices.length > 0 ? { usage: null } : {}),
    };
  }

  #takePrelude(): WireObject | undefined {
    const prelude = this.#prelude;
    this.#prelude = undefined;
    return prelude;
  }
}

interface HeldChunk {
  readonly chunk: WireObject;
  readonly choices: NormalisedChoice[];
  readonly usage: Usage | undefined;
}

function event(
  json: string,
  outputText: string,
  usage: Usage | undefined,
  finish?: FinishReason | undefined,
): ChatStreamEvent {
  return { json, outputText, usage, usageOnly: false, finishReason: finish };
}

const ENVELOPE = new Set(['id', 'object', 'created', 'model', 'choices', 'usage', 'obfuscation']);

function withoutEnvelope(chunk: WireObject): WireObject {
  return Object.fromEntries(Object.entries(chunk).filter(([key]) => !ENVELOPE.has(key)));
}
