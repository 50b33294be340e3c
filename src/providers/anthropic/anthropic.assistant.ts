import type { ChatMessage, ToolCall } from '@app/contracts';
import type { ExactJsonParser } from '../../text/exact-json.js';
import {
  type ContentContext,
  isUnsigned,
  textBlocks,
  toBlocks,
  withCacheControl,
} from './anthropic.content.js';
import { isRawContentOf } from './anthropic.raw-content.js';
import { toolUseExtras } from './anthropic.tools.js';
import { invalidBody } from '../translation/unsupported-params.js';
import { isBlock, isObject, isThinking, type JsonObject, textOf, type WireBlock } from './anthropic.wire.js';

/**
 * An assistant message of an earlier turn -> its blocks: thinking first, then text, then tool calls.
 *
 * If the client returns the raw blocks of that turn (`provider_specific_fields.anthropic_content`) and the visible part of the
 * message is unchanged, the raw blocks are sent byte for byte, with the arguments of the calls as the message has them. If the
 * client edited the message, the message counts.
 *
 * `reasoning_content` is not sent: Anthropic refuses thinking without a signature.
 *
 * @throws GatewayError  `invalid_body` for arguments that are not a JSON object
 */
export function assistantBlocks(
  message: ChatMessage,
  path: string,
  functionCallId: string,
  context: ContentContext,
): WireBlock[] {
  const fields = isObject(message.provider_specific_fields) ? message.provider_specific_fields : {};
  if (isRawContentOf(message, fields.anthropic_content)) {
    return withCalled(fields.anthropic_content.filter(isSendable), message, context);
  }
  if (message.audio) context.unsupported.refuse(`${path}.audio`, 'is not accepted by Anthropic');
  if (Array.isArray(message.images) && message.images.length > 0)
    context.unsupported.refuse(`${path}.images`, 'is not accepted by Anthropic');
  const said = toBlocks(message.content, `${path}.content`, context);
  // Some clients send a call in both dialects.
  const native = new Set(said.filter((block) => block.type === 'tool_use').map((block) => block.id));
  return [
    ...thinkingBlocks(fields.thinking_blocks ?? message.thinking_blocks),
    ...said,
    ...textBlocks(textOf(message.refusal), undefined),
    ...toolUses(message, path, functionCallId, context).filter(({ id }) => !native.has(id)),
  ];
}

/**
 * The blocks with the arguments of the message's calls, which are the same calls in the same order. The message has them as JSON
 * text: exact to the last digit, and the place where a client edits them. Arguments that are not JSON, because they were cut off,
 * leave the raw block as it is.
 */
function withCalled(
  blocks: WireBlock[],
  message: ChatMessage,
  { exactJson, toolUseIds }: ContentContext,
): WireBlock[] {
  const calls = (message.tool_calls ?? []).values();
  return blocks.map((block) => {
    const call = block.type === 'tool_use' ? calls.next().value : undefined;
    if (!call) return block;
    const input = isObject(call.function) ? parsed(textOf(call.function.arguments), exactJson) : undefined;
    const called = { ...block, id: toolUseIds.call(textOf(call.id)), ...(isObject(input) && { input }) };
    return withCacheControl(called, call.cache_control);
  });
}

/** Anthropic sometimes returns blank text, but refuses to receive it. */
function isSendable(block: WireBlock): boolean {
  return block.type !== 'text' || textOf(block.text).trim() !== '';
}

function thinkingBlocks(blocks: unknown): WireBlock[] {
  if (!Array.isArray(blocks)) return [];
  return blocks.filter(isBlock).filter((block) => isThinking(block) && !isUnsigned(block));
}

function toolUses(
  message: ChatMessage,
  path: string,
  functionCallId: string,
  context: ContentContext,
): WireBlock[] {
  const calls = (message.tool_calls ?? []).flatMap((call, index) =>
    toolUse(call, `${path}.tool_calls[${index}]`, context),
  );
  const legacy = message.function_call;
  if (!legacy) return calls;
  const input = toInput(legacy.arguments, `${path}.function_call.arguments`, context.exactJson);
  const id = context.toolUseIds.call(functionCallId);
  return [...calls, { type: 'tool_use', id, name: legacy.name, input }];
}

function toolUse(call: ToolCall, path: string, context: ContentContext): WireBlock[] {
  if (!isObject(call.function)) {
    context.unsupported.refuse(path, 'is not a function call, the only kind that Anthropic has');
    return [];
  }
  const input = toInput(call.function.arguments, `${path}.function.arguments`, context.exactJson);
  const extras = isObject(call.provider_specific_fields) ? toolUseExtras(call.provider_specific_fields) : {};
  const id = context.toolUseIds.call(textOf(call.id));
  const block = { type: 'tool_use', id, name: call.function.name, input, ...extras };
  return [withCacheControl(block, call.cache_control)];
}

/** Some clients send an empty string for a call without arguments. */
function toInput(text: unknown, path: string, json: ExactJsonParser): JsonObject {
  const input = textOf(text).trim() === '' ? {} : parsed(textOf(text), json);
  if (!isObject(input)) throw invalidBody(path, 'must be a JSON object');
  return input;
}

function parsed(text: string, json: ExactJsonParser): unknown {
  try {
    return json.parse(text);
  } catch {
    return undefined;
  }
}
