import { GatewayError, type ChatMessage, type ContentPart } from '@app/contracts';
import { asObject, type WireObject } from '../openai-compatible/openai-compatible.wire.js';
import { replayedItems } from './responses.carry.js';

/** The conversation -> `input`. One message may be several items: reasoning, text, and each tool call. */
export function inputItems(messages: readonly ChatMessage[]): WireObject[] {
  const customCalls = customCallIds(messages);
  return messages.flatMap((message, position) => {
    switch (message.role) {
      case 'assistant':
        return replayedItems(message) ?? assistantItems(message);
      case 'tool':
        return [toolOutput(message, customCalls, position)];
      case 'function':
        throw noPlace(`messages[${position}].role`, 'messages with the role "function"');
      default:
        return [{ role: message.role, content: inputContent(message.content, position) }];
    }
  });
}

function assistantItems(message: ChatMessage): WireObject[] {
  const text = typeof message.content === 'string' ? message.content : joinedText(message.content);
  const said = [
    ...(text === '' ? [] : [{ type: 'output_text', text, annotations: [] }]),
    ...refusalsIn(message).map((refusal) => ({ type: 'refusal', refusal })),
  ];
  const calls = (message.tool_calls ?? []).map((call) => callItem(call));
  return [...(said.length > 0 ? [{ type: 'message', role: 'assistant', content: said }] : []), ...calls];
}

function refusalsIn({ refusal, content }: ChatMessage): unknown[] {
  if (refusal) return [refusal];
  return Array.isArray(content)
    ? content.filter(({ type }) => type === 'refusal').map((part: WireObject) => part.refusal)
    : [];
}

function joinedText(parts: ContentPart[] | null | undefined): string {
  return (parts ?? []).map((part) => (typeof part.text === 'string' ? part.text : '')).join('');
}

/** A call is named by its `call_id` (`call_…`); the item's own id (`fc_…`) never leaves the gateway in `tool_calls`. */
export function callItem(call: WireObject): WireObject {
  const custom = asObject(call.custom);
  if (custom) return { type: 'custom_tool_call', call_id: call.id, name: custom.name, input: custom.input };
  const called = asObject(call.function);
  return { type: 'function_call', call_id: call.id, name: called?.name, arguments: called?.arguments };
}

function customCallIds(messages: readonly ChatMessage[]): Set<string> {
  const calls = messages.flatMap((message) => message.tool_calls ?? []);
  return new Set(calls.filter((call) => asObject(call.custom)).map((call) => call.id));
}

function toolOutput(message: ChatMessage, customCalls: Set<string>, position: number): WireObject {
  const callId = message.tool_call_id;
  const type =
    callId !== undefined && customCalls.has(callId) ? 'custom_tool_call_output' : 'function_call_output';
  return { type, call_id: callId, output: inputContent(message.content, position) };
}

function inputContent(content: ChatMessage['content'], position: number): string | WireObject[] {
  if (typeof content === 'string') return content;
  return (content ?? []).map((part, index) => inputPart(part, `messages[${position}].content[${index}]`));
}

/** What stands beside the part's own field (`prompt_cache_breakpoint`, and what is newer than we are) stays beside it. */
function inputPart(part: ContentPart, param: string): WireObject {
  const { image_url: image, file, ...rest }: WireObject = part;
  switch (part.type) {
    case 'text':
      return { ...rest, type: 'input_text' };
    case 'image_url':
      return { ...rest, ...imagePart(asObject(image) ?? {}) };
    case 'file':
      return { ...rest, ...asObject(file), type: 'input_file' };
    case 'input_audio':
      throw noPlace(param, 'audio');
    default:
      return { ...part };
  }
}

function imagePart({ url, detail }: WireObject): WireObject {
  return { type: 'input_image', image_url: url, detail: detail ?? 'auto' };
}

function noPlace(param: string, what: string): GatewayError {
  const message = `This model is served by OpenAI's Responses API, which takes no ${what}.`;
  return new GatewayError('unsupported_parameter', message, { param });
}
