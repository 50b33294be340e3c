import { writtenText, type ChatStreamEvent, type FinishReason, type Usage } from '@app/contracts';
import type { EventTranslator } from '../openai-compatible/chat-event-stream.js';
import { badResponse, bodyError } from '../openai-compatible/openai-compatible.errors.js';
import {
  asArray,
  asObject,
  asText,
  parseAnswer,
  type WireObject,
} from '../openai-compatible/openai-compatible.wire.js';
import { carriedFields, isToolCall, textOf } from './responses.carry.js';
import {
  annotationsIn,
  envelopeOf,
  finishReasonOf,
  outputItems,
  PARAGRAPH,
  reasoningOf,
  refusalIn,
  responseFailure,
  toolCallOf,
  type ResponsesContext,
} from './responses.response.js';
import { readResponsesUsage, responsesCompletionUsage } from './responses.usage.js';

/** A call of a tool while its arguments come in. */
interface OpenCall {
  readonly index: number;
  readonly custom: boolean;
  written: number;
}

/**
 * The events of a response -> chunks. Unknown events are skipped: the API keeps adding some (`keepalive`, progress of
 * server-side tools, …), and their content is in the items at the end.
 *
 * @throws ProviderError  from `take` for `error` and `response.failed`, from `finish` when no terminal event came
 */
export class ResponsesStreamTranslator implements EventTranslator {
  #envelope: WireObject | undefined;
  #roleSaid = false;
  #complete = false;
  /** The part of a summary that the last delta belonged to. */
  #reasoningPart: string | undefined;
  readonly #calls = new Map<unknown, OpenCall>();
  /** Of the text sent so far. */
  #textLength = 0;
  #refusalLength = 0;

  constructor(private readonly context: ResponsesContext) {}

  get begun(): boolean {
    return this.#roleSaid;
  }

  get complete(): boolean {
    return this.#complete;
  }

  take(json: string, out: ChatStreamEvent[]): void {
    const event = asObject(parseAnswer(json));
    if (!event) throw badResponse('The provider sent an event that is not a JSON object.');
    const translated = this.#translate(event);
    if (translated) out.push(...translated);
  }

  finish(): void {
    if (!this.#complete) throw badResponse('The provider ended the stream before the response was complete.');
  }

  #translate(event: WireObject): ChatStreamEvent[] | undefined {
    switch (event.type) {
      case 'response.created':
        return this.#begin(event);
      case 'response.output_item.added':
        return this.#itemAdded(asObject(event.item) ?? {});
      case 'response.output_text.delta':
        return this.#text(event.delta, logprobsOf(event));
      case 'response.refusal.delta':
        return this.#refusal(event.delta);
      case 'response.reasoning_summary_text.delta':
      case 'response.reasoning_text.delta':
        return this.#reasoning(event);
      case 'response.function_call_arguments.delta':
      case 'response.custom_tool_call_input.delta':
        return this.#callDelta(event.item_id, asText(event.delta) ?? '');
      case 'response.output_item.done':
        return this.#itemDone(asObject(event.item) ?? {});
      case 'response.completed':
      case 'response.incomplete':
        return this.#end(asObject(event.response) ?? {});
      case 'response.failed':
        throw this.#failure(asObject(event.response) ?? {});
      case 'error':
        throw bodyError(event.error ?? event, this.begun);
      default:
        return undefined;
    }
  }

  #begin(event: WireObject): undefined {
    this.#envelope = {
      ...envelopeOf(asObject(event.response) ?? {}, this.context),
      object: 'chat.completion.chunk',
    };
  }

  #text(delta: unknown, logprobs?: unknown): ChatStreamEvent[] {
    this.#textLength += asText(delta)?.length ?? 0;
    return this.#delta({ content: delta }, logprobs);
  }

  #refusal(delta: unknown): ChatStreamEvent[] {
    this.#refusalLength += asText(delta)?.length ?? 0;
    return this.#delta({ refusal: delta });
  }

  #itemAdded(item: WireObject): ChatStreamEvent[] | undefined {
    if (!isToolCall(item)) return undefined;
    const call = { index: this.#calls.size, custom: item.type === 'custom_tool_call', written: 0 };
    this.#calls.set(item.id, call);
    const opened = toolCallOf({ ...item, arguments: '', input: '' });
    const named = call.custom ? opened : { ...opened, function: { name: item.name, arguments: '' } };
    return this.#delta({ tool_calls: [{ index: call.index, ...named }] });
  }

  #callDelta(itemId: unknown, text: string): ChatStreamEvent[] | undefined {
    const call = this.#calls.get(itemId);
    if (!call || text === '') return undefined;
    call.written += text.length;
    const piece = call.custom ? { custom: { input: text } } : { function: { arguments: text } };
    return this.#delta({ tool_calls: [{ index: call.index, ...piece }] }, undefined, text);
  }

  /** Arguments may come all at once, without a delta. */
  #itemDone(item: WireObject): ChatStreamEvent[] | undefined {
    const call = this.#calls.get(item.id);
    if (!call) return undefined;
    const whole = asText(call.custom ? item.input : item.arguments) ?? (call.custom ? '' : '{}');
    return this.#callDelta(item.id, whole.slice(call.written));
  }

  /** A summary has parts, and an answer may have several summaries: an empty line separates them. */
  #reasoning(event: WireObject): ChatStreamEvent[] {
    const part = JSON.stringify([event.item_id, event.type, event.summary_index ?? event.content_index]);
    const isNext = this.#reasoningPart !== undefined && this.#reasoningPart !== part;
    this.#reasoningPart = part;
    return this.#delta({ reasoning_content: (isNext ? PARAGRAPH : '') + (asText(event.delta) ?? '') });
  }

  #end(response: WireObject): ChatStreamEvent[] {
    const output = outputItems(response);
    const finish = finishReasonOf(response, output.some(isToolCall) || this.#calls.size > 0);
    this.#complete = true;
    this.#closeEnvelope(response);
    const carried = carriedFields(output, response.status);
    // Once, and here, where all of them are known: the official SDKs cannot join a list that comes in pieces.
    const annotations = annotationsIn(output.filter((item) => item.type === 'message'));
    const kept = {
      ...(annotations.length > 0 ? { annotations } : {}),
      ...(carried ? { provider_specific_fields: carried } : {}),
    };
    const usage = readResponsesUsage(response.usage, output, response.tool_usage);
    return [
      ...this.#untold(output),
      this.#chunk(kept, undefined, '', finish),
      ...(usage ? [this.#usage(response, usage)] : []),
    ];
  }

  /** The tier that has served, and the moderation of the answer, are known at the end. */
  #closeEnvelope(response: WireObject): void {
    const { id, created } = this.#frame();
    this.#envelope = { ...this.#frame(), ...envelopeOf(response, this.context), id, created };
  }

  /** What came in no delta that we know: the whole response has it all the same. */
  #untold(output: readonly WireObject[]): ChatStreamEvent[] {
    const messages = output.filter((item) => item.type === 'message');
    const text = messages.map(textOf).join('').slice(this.#textLength);
    const refusal = refusalIn(messages)?.slice(this.#refusalLength) ?? '';
    const reasoning = this.#reasoningPart === undefined ? reasoningOf(output) : '';
    const calls = output.filter(isToolCall).flatMap((item) => {
      const added = this.#calls.has(item.id) ? undefined : this.#itemAdded(item);
      return [...(added ?? []), ...(this.#itemDone(item) ?? [])];
    });
    return [
      ...(reasoning === '' ? [] : this.#delta({ reasoning_content: reasoning })),
      ...(text === '' ? [] : this.#text(text)),
      ...(refusal === '' ? [] : this.#refusal(refusal)),
      ...calls,
    ];
  }

  #failure(response: WireObject): Error {
    return this.begun ? bodyError(response.error, true) : responseFailure(response);
  }

  #usage(response: WireObject, usage: Usage): ChatStreamEvent {
    const block = responsesCompletionUsage(response.usage, usage);
    const json = JSON.stringify({ ...this.#frame(), choices: [], usage: block });
    return { json, outputText: '', usage, usageOnly: true };
  }

  #delta(delta: WireObject, logprobs?: unknown, written = writtenText(delta)): ChatStreamEvent[] {
    return [this.#chunk(delta, logprobs, written)];
  }

  #chunk(delta: WireObject, logprobs: unknown, outputText: string, finish?: FinishReason): ChatStreamEvent {
    const role = this.#roleSaid ? {} : { role: 'assistant' };
    this.#roleSaid = true;
    const choice = {
      index: 0,
      delta: { ...role, ...delta },
      logprobs: logprobs ?? null,
      finish_reason: finish ?? null,
    };
    const json = JSON.stringify({ ...this.#frame(), choices: [choice] });
    return { json, outputText, usage: undefined, usageOnly: false, finishReason: finish };
  }

  #frame(): WireObject {
    this.#envelope ??= { ...envelopeOf({}, this.context), object: 'chat.completion.chunk' };
    return this.#envelope;
  }
}

function logprobsOf(event: WireObject): unknown {
  const content = asArray(event.logprobs);
  return content.length > 0 ? { content, refusal: null } : undefined;
}
