import type { AssistantMessage, ChatCompletion, FinishReason, ProviderError } from '@app/contracts';
import { badResponse, bodyError } from '../openai-compatible/openai-compatible.errors.js';
import { requireFew } from '../openai-compatible/openai-compatible.parts.js';
import {
  asArray,
  asObject,
  asText,
  asUnixSeconds,
  type WireObject,
} from '../openai-compatible/openai-compatible.wire.js';
import { unixSeconds } from '../translation/unix-seconds.js';
import { carriedFields, isToolCall, partsOf, textOf } from './responses.carry.js';
import { readResponsesUsage, responsesCompletionUsage } from './responses.usage.js';

export interface ResponsesContext {
  readonly clientModel: string;
  readonly requestId: string;
}

/** Between two parts of a reasoning summary. */
export const PARAGRAPH = '\n\n';

/**
 * A response -> the client's completion.
 *
 * @throws ProviderError  for a response that failed, or is none
 */
export function responseToCompletion(body: unknown, context: ResponsesContext): ChatCompletion {
  const wire = asObject(body);
  if (!wire || !Array.isArray(wire.output)) throw wire?.error ? responseFailure(wire) : notAResponse();
  const output = outputItems(wire);
  const message = messageOf(output, wire.status);
  const finish = finishReasonOf(wire, message.tool_calls !== undefined);
  const usage = responsesCompletionUsage(wire.usage, readResponsesUsage(wire.usage, output, wire.tool_usage));
  return {
    ...envelopeOf(wire, context),
    object: 'chat.completion',
    choices: [{ index: 0, message, logprobs: logprobsOf(output), finish_reason: finish }],
    ...(usage ? { usage } : {}),
  };
}

/** @throws ProviderError `provider_bad_response` for more items and parts of items than any model gives */
export function outputItems(wire: WireObject): WireObject[] {
  const output = asArray(wire.output);
  requireFew(output, (item) => partCount(asObject(item)));
  return output.map((item) => asObject(item) ?? {});
}

function partCount(item: WireObject | undefined): number {
  return asArray(item?.content).length + asArray(item?.summary).length;
}

/** Keys of a response that a completion has, too. */
export function envelopeOf(
  wire: WireObject,
  context: ResponsesContext,
): { id: string; created: number; model: string; [key: string]: unknown } {
  const shared = ['service_tier', 'moderation', 'content_filters'].filter((key) => wire[key] ?? undefined);
  return {
    id: asText(wire.id) ?? `chatcmpl-${context.requestId}`,
    created: asUnixSeconds(wire.created_at) ?? unixSeconds(),
    model: context.clientModel,
    ...Object.fromEntries(shared.map((key) => [key, wire[key]])),
  };
}

/** @throws ProviderError  when the response did not end well */
export function finishReasonOf(wire: WireObject, hasToolCalls: boolean): FinishReason {
  switch (wire.status) {
    case 'completed':
      return hasToolCalls ? 'tool_calls' : 'stop';
    case 'incomplete':
      return asObject(wire.incomplete_details)?.reason === 'content_filter' ? 'content_filter' : 'length';
    default:
      throw responseFailure(wire);
  }
}

/** `status: "failed"` with `error: {code, message}`; `cancelled` has no error. */
export function responseFailure(wire: WireObject): ProviderError {
  const error = asObject(wire.error);
  if (!error)
    return badResponse(`The provider ended the response with the status ${JSON.stringify(wire.status)}.`);
  return bodyError(error, false);
}

/** A call of a tool as chat completions have it. */
export function toolCallOf(item: WireObject): WireObject {
  if (item.type === 'custom_tool_call') {
    return { id: item.call_id, type: 'custom', custom: { name: item.name, input: item.input ?? '' } };
  }
  return {
    id: item.call_id,
    type: 'function',
    function: { name: item.name, arguments: item.arguments || '{}' },
  };
}

/**
 * A response has a citation's fields beside its type, a chat completion below it; and it counts from the start of the part
 * with the citation, where a chat message has only one text.
 *
 * @param partStart  where that part begins in the message's text
 */
function annotationOf(annotation: unknown, partStart: number): unknown {
  const { type, ...fields } = asObject(annotation) ?? {};
  if (typeof type !== 'string') return annotation;
  for (const index of ['start_index', 'end_index']) {
    const place = fields[index];
    if (typeof place === 'number') fields[index] = place + partStart;
  }
  return { type, [type]: fields };
}

export function annotationsIn(messages: readonly WireObject[]): unknown[] {
  let partStart = 0;
  return messages
    .flatMap((item) => partsOf(item, 'output_text'))
    .flatMap((part) => {
      const start = partStart;
      partStart += asText(part.text)?.length ?? 0;
      return asArray(part.annotations).map((annotation) => annotationOf(annotation, start));
    });
}

function messageOf(output: readonly WireObject[], status: unknown): AssistantMessage {
  const messages = output.filter((item) => item.type === 'message');
  const texts = messages.map(textOf);
  const refusal = refusalIn(messages);
  const annotations = annotationsIn(messages);
  const reasoning = reasoningOf(output);
  const calls = output.filter(isToolCall).map(toolCallOf);
  const carried = carriedFields(output, status);
  return {
    role: 'assistant',
    content: messages.some((item) => partsOf(item, 'output_text').length > 0) ? texts.join('') : null,
    refusal: refusal ?? null,
    ...(reasoning === '' ? {} : { reasoning_content: reasoning }),
    ...(annotations.length > 0 ? { annotations } : {}),
    ...(calls.length > 0 ? { tool_calls: calls as ToolCalls } : {}),
    ...(carried ? { provider_specific_fields: carried } : {}),
  };
}

/** `undefined` when the model did not refuse. */
export function refusalIn(messages: readonly WireObject[]): string | undefined {
  const refusals = messages.flatMap((item) => partsOf(item, 'refusal'));
  return refusals.length > 0 ? refusals.map((part) => asText(part.refusal) ?? '').join('') : undefined;
}

/** `toolCallOf` has put in what the type demands. */
type ToolCalls = NonNullable<AssistantMessage['tool_calls']>;

export function reasoningOf(output: readonly WireObject[]): string {
  return output
    .filter((item) => item.type === 'reasoning')
    .flatMap((item) => [...asArray(item.summary), ...asArray(item.content)])
    .map((part) => asText(asObject(part)?.text))
    .filter((text) => text !== undefined)
    .join(PARAGRAPH);
}

function logprobsOf(output: readonly WireObject[]): unknown {
  const content = output
    .filter((item) => item.type === 'message')
    .flatMap((item) => partsOf(item, 'output_text'))
    .flatMap((part) => asArray(part.logprobs));
  return content.length > 0 ? { content, refusal: null } : null;
}

function notAResponse(): ProviderError {
  return badResponse('The provider did not answer with a response.');
}
