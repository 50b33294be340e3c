import {
  type ChatDelta,
  type ChatStreamEvent,
  type FinishReason,
  type ProviderSpecificFields,
  type ToolCallDelta,
  type Usage,
} from '@app/contracts';
import { parseJson } from '../translation/parse-json.js';
import { asText } from './anthropic.answer-tool.js';
import { badResponse, toStreamError } from './anthropic.errors.js';
import {
  type AnswerContext,
  annotationsOf,
  closingFields,
  refusalOf,
  shownUsage,
  toFinishReason,
  toServiceTier,
} from './anthropic.response.js';
import { textOfBlocks } from './anthropic.raw-content.js';
import { toArguments, toolUseExtras } from './anthropic.tools.js';
import { type AnthropicUsage, UnreportedUsage, mergeUsage, toUsage } from './anthropic.usage.js';
import {
  isBlock,
  isObject,
  isServerResult,
  type JsonObject,
  textOf,
  type WireBlock,
  type WireEvent,
} from './anthropic.wire.js';

export interface StreamContext extends AnswerContext {
  readonly providerRequestId: string | undefined;
}

/** A block that has begun and not ended. */
interface OpenBlock {
  readonly block: WireBlock;
  /** Position among the tool calls; for `tool_use` only. */
  readonly callIndex: number | undefined;
  /** Input as JSON text, joined from its deltas. */
  json: string;
  /** The block's own list, which grows in place: copying it for each citation would be slow when there are thousands. */
  citations?: unknown[];
}

const NO_EVENTS: readonly ChatStreamEvent[] = Object.freeze([]);

/**
 * Anthropic's events -> OpenAI's chunks, one method per event. The blocks are kept, because the end of the answer may have to
 * include them (see anthropic.raw-content.ts).
 *
 * Strings are sent in pieces, `annotations` and `provider_specific_fields` once, with the finish: openai-node keeps only the last
 * value of such fields, and openai-python fails when a list of them is sent twice. Unknown events are skipped; unknown blocks and
 * deltas are kept in the raw blocks.
 */
export class AnthropicStreamTranslator {
  readonly #blocks: WireBlock[] = [];
  readonly #open = new Map<number, OpenBlock>();
  /** Fields of the message itself: `stop_reason`, `container`, … */
  readonly #fields: JsonObject = {};
  #usage: JsonObject = {};
  /** Server tools have returned something, or thinking has ended, that no usage has reported yet. */
  #hasUnreported = false;
  readonly #unreported = new UnreportedUsage();
  #head = '';
  #calls = 0;
  #finish: FinishReason | undefined;
  #stopped = false;

  constructor(private readonly context: StreamContext) {}

  /** `message_stop` was received: nothing follows. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /**
   * @throws ProviderError  for an `error` event, and for a stream that does not begin or end as the API promises
   */
  take(event: WireEvent): readonly ChatStreamEvent[] {
    switch (event.type) {
      case 'message_start':
        return this.#messageStart(event);
      case 'content_block_start':
        return this.#blockStart(event);
      case 'content_block_delta':
        return this.#blockDelta(event);
      case 'content_block_stop':
        return this.#blockStop(event);
      case 'message_delta':
        return this.#messageDelta(event);
      case 'message_stop':
        return this.#messageStop();
      case 'error':
        throw toStreamError(event, this.#head !== '', this.context.providerRequestId);
      default:
        return NO_EVENTS;
    }
  }

  #messageStart(event: WireEvent): readonly ChatStreamEvent[] {
    const message = isObject(event.message) ? event.message : {};
    const { content: _content, usage, ...fields } = message;
    this.#head = this.#chunkHead(textOf(message.id));
    this.#usage = mergeUsage({}, usage);
    Object.assign(this.#fields, fields);
    return [this.#chunk({ role: 'assistant', content: '' }, { usage: this.#counted()?.billed })];
  }

  #chunkHead(id: string): string {
    const { clientModel: model, created } = this.context;
    return JSON.stringify({ id, object: 'chat.completion.chunk', created, model }).slice(0, -1);
  }

  #blockStart(event: WireEvent): readonly ChatStreamEvent[] {
    const block = isBlock(event.content_block) ? { ...event.content_block } : { type: 'unknown' };
    const callIndex = block.type === 'tool_use' ? this.#calls++ : undefined;
    this.#blocks.push(block);
    this.#open.set(indexOf(event), { block, callIndex, json: '' });
    if (isServerResult(block)) this.#addUnreported(block);
    if (callIndex !== undefined)
      return this.context.answersByTool ? NO_EVENTS : [this.#callStart(block, callIndex)];
    return block.type === 'text' ? this.#text(textOf(block.text)) : this.#thinking(textOf(block.thinking));
  }

  #callStart(block: WireBlock, index: number): ChatStreamEvent {
    const call = { name: textOf(block.name), arguments: '' };
    if (this.context.legacyFunctions) return this.#chunk({ function_call: call });
    const extras = toolUseExtras(block);
    return this.#callDelta({
      index,
      id: textOf(block.id),
      type: 'function',
      function: call,
      ...(Object.keys(extras).length > 0 && { provider_specific_fields: extras }),
    });
  }

  #blockDelta(event: WireEvent): readonly ChatStreamEvent[] {
    const delta = isObject(event.delta) ? event.delta : {};
    const open = this.#open.get(indexOf(event));
    if (!open)
      throw badResponse('has a delta for a block that was never started', this.context.providerRequestId);
    switch (delta.type) {
      case 'text_delta':
        open.block.text = textOf(open.block.text) + textOf(delta.text);
        return this.#text(textOf(delta.text));
      case 'thinking_delta':
        open.block.thinking = textOf(open.block.thinking) + textOf(delta.thinking);
        return this.#thinking(textOf(delta.thinking));
      case 'input_json_delta':
        return this.#inputDelta(open, textOf(delta.partial_json));
      case 'citations_delta':
        citationsOf(open).push(delta.citation);
        return NO_EVENTS;
      default:
        mergeDelta(open.block, delta);
        return NO_EVENTS;
    }
  }

  #text(text: string): readonly ChatStreamEvent[] {
    if (text === '') return NO_EVENTS;
    return [this.context.answersByTool ? this.#kept(text) : this.#content(text)];
  }

  #content(text: string): ChatStreamEvent {
    return this.#chunkOf(`{"content":${JSON.stringify(text)}}`, text);
  }

  /** Not shown until it is known whether a call with the answer follows, but it counts as output. */
  #kept(text: string): ChatStreamEvent {
    return this.#chunkOf('{}', text);
  }

  #thinking(text: string): readonly ChatStreamEvent[] {
    return text === '' ? NO_EVENTS : [this.#chunkOf(`{"reasoning_content":${JSON.stringify(text)}}`, text)];
  }

  #inputDelta(open: OpenBlock, json: string): readonly ChatStreamEvent[] {
    open.json += json;
    return open.callIndex === undefined ? NO_EVENTS : this.#arguments(open.callIndex, json);
  }

  #arguments(index: number, json: string): readonly ChatStreamEvent[] {
    if (json === '') return NO_EVENTS;
    if (this.context.answersByTool) return [index === 0 ? this.#content(json) : this.#kept(json)];
    if (!this.context.legacyFunctions)
      return [this.#callDelta({ index, function: { arguments: json } }, json)];
    return [this.#chunk({ function_call: { arguments: json } }, { outputText: json })];
  }

  #callDelta(call: ToolCallDelta, outputText = ''): ChatStreamEvent {
    return this.#chunk({ tool_calls: [call] }, { outputText });
  }

  #blockStop(event: WireEvent): readonly ChatStreamEvent[] {
    const open = this.#open.get(indexOf(event));
    if (!open) return NO_EVENTS;
    this.#open.delete(indexOf(event));
    if (open.block.type === 'thinking') this.#addUnreported(open.block);
    return open.block.type === 'text' ? NO_EVENTS : this.#closeInput(open);
  }

  /** A call without arguments has no deltas, or only empty ones. Some servers send the whole input with the start. */
  #closeInput(open: OpenBlock): readonly ChatStreamEvent[] {
    const given = open.json;
    if (given !== '') open.block.input = parseJson(given) ?? open.block.input;
    return given === '' && open.callIndex !== undefined
      ? this.#arguments(open.callIndex, toArguments(open.block.input))
      : NO_EVENTS;
  }

  #messageDelta(event: WireEvent): readonly ChatStreamEvent[] {
    const { type: _type, delta, usage, ...fields } = event;
    Object.assign(this.#fields, fields, isObject(delta) ? delta : {});
    this.#usage = mergeUsage(this.#usage, usage);
    if (this.#finish !== undefined || typeof this.#fields.stop_reason !== 'string') return NO_EVENTS;
    const content = this.context.answersByTool ? asText(this.#blocks) : this.#blocks;
    this.#finish = toFinishReason(this.#fields.stop_reason, content, this.context);
    return [...this.#textInstead(), this.#closing(content, this.#finish)];
  }

  /** The model did not call the tool meant for its answer, so its text is the answer. The text was counted when it came. */
  #textInstead(): readonly ChatStreamEvent[] {
    const text = this.context.answersByTool && this.#calls === 0 ? textOfBlocks(this.#blocks) : '';
    return text === '' ? NO_EVENTS : [{ ...this.#content(text), outputText: '' }];
  }

  #closing(content: readonly WireBlock[], finishReason: FinishReason): ChatStreamEvent {
    const refusal = refusalOf(this.#fields, content);
    const annotations = annotationsOf(content);
    const fields: ProviderSpecificFields = closingFields(this.#fields, content);
    const delta = {
      ...(refusal !== undefined && { refusal }),
      ...(annotations.length > 0 && { annotations }),
      provider_specific_fields: fields,
    };
    return this.#chunk(delta, { finishReason, usage: this.#counted()?.billed });
  }

  #messageStop(): readonly ChatStreamEvent[] {
    if (this.#finish === undefined)
      throw badResponse('ended without a stop reason', this.context.providerRequestId);
    this.#stopped = true;
    const usage = this.#counted();
    return usage ? [this.#usageChunk(usage)] : NO_EVENTS;
  }

  #usageChunk(usage: AnthropicUsage): ChatStreamEvent {
    const tier = toServiceTier(this.#usage.service_tier);
    const tail = JSON.stringify({
      choices: [],
      usage: shownUsage(usage, this.#usage),
      ...(tier !== undefined && { service_tier: tier }),
    });
    return { json: `${this.#head},${tail.slice(1)}`, outputText: '', usage: usage.billed, usageOnly: true };
  }

  #addUnreported(block: WireBlock): void {
    this.#unreported.add(block);
    this.#hasUnreported = true;
  }

  /** Usage so far, for a client that leaves before the end. It goes with the next chunk. */
  #estimatedUsage(): { usage?: Usage } {
    this.#hasUnreported = false;
    const usage = this.#counted()?.billed;
    return usage ? { usage: this.#unreported.addedTo(usage) } : {};
  }

  #counted(): AnthropicUsage | undefined {
    return toUsage(this.#usage, this.#blocks);
  }

  #chunk(
    delta: ChatDelta,
    more: { outputText?: string; finishReason?: FinishReason; usage?: Usage | undefined } = {},
  ): ChatStreamEvent {
    const { outputText = '', finishReason, usage } = more;
    const event = this.#chunkOf(JSON.stringify(delta), outputText, finishReason);
    return { ...event, ...(usage && { usage }), ...(finishReason && { finishReason }) };
  }

  #chunkOf(delta: string, outputText: string, finishReason?: FinishReason): ChatStreamEvent {
    if (this.#head === '')
      throw badResponse('does not begin with message_start', this.context.providerRequestId);
    const finish = finishReason === undefined ? 'null' : `"${finishReason}"`;
    const json = `${this.#head},"choices":[{"index":0,"delta":${delta},"logprobs":null,"finish_reason":${finish}}]}`;
    const event = { json, outputText, usageOnly: false };
    return this.#hasUnreported ? { ...event, ...this.#estimatedUsage() } : event;
  }
}

function citationsOf(open: OpenBlock): unknown[] {
  const { citations: given } = open.block;
  open.citations ??= Array.isArray(given) ? [...(given as unknown[])] : [];
  open.block.citations = open.citations;
  return open.citations;
}

function indexOf(event: WireEvent): number {
  return typeof event.index === 'number' ? event.index : -1;
}

/** `signature_delta`, `compaction_delta` and unknown ones: strings are appended, anything else is replaced. */
function mergeDelta(block: WireBlock, delta: JsonObject): void {
  for (const [name, value] of Object.entries(delta)) {
    if (name === 'type') continue;
    const before = block[name];
    block[name] = typeof before === 'string' && typeof value === 'string' ? before + value : value;
  }
}
