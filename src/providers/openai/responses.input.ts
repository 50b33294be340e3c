import { GatewayError, type ChatMessage, type ContentPart } from '@app/contracts';
import { asObject, type WireObject } from '../openai-compatible/openai-compatible.wire.js';
import { callerOf, carriedAt, isOfAnAnswer, isToolCall, replayedItems, saidText } from './responses.carry.js';

/** For what this wire has no place for: throws a refusal with its name, or returns, and it is left out. */
type Refuse = (param: string, what: string) => void;

/**
 * The conversation -> `input`. One message may be several items: reasoning, text, and each tool call.
 *
 * @throws GatewayError  whatever `refuse` throws
 */
export function inputItems(
  messages: readonly ChatMessage[],
  refuse: Refuse = refuseUnsupported,
): WireObject[] {
  const calls = new Map<unknown, WireObject>();
  return messages.flatMap((message, position) => {
    const path = `messages[${position}]`;
    switch (message.role) {
      case 'assistant': {
        const items = replayed(message, path, refuse) ?? assistantItems(message, path, refuse);
        for (const item of items) if (isToolCall(item)) calls.set(item.call_id, item);
        return items;
      }
      case 'tool':
        return [toolOutput(message, calls.get(message.tool_call_id), path, refuse)];
      case 'function':
        refuse(`${path}.role`, 'messages with the role "function"');
        return [];
      default:
        return [{ role: message.role, content: spokenContent(message, path, refuse) }];
    }
  });
}

/** @throws GatewayError  `unsupported_parameter`, always */
export function refuseUnsupported(param: string, what: string): never {
  const message = `This model is served by OpenAI's Responses API, which does not accept ${what}.`;
  throw new GatewayError('unsupported_parameter', message, { param });
}

function replayed(message: ChatMessage, path: string, refuse: Refuse): WireObject[] | undefined {
  const items = replayedItems(message);
  const strange = items?.findIndex((item) => !isOfAnAnswer(item)) ?? -1;
  if (strange === -1) return items;
  refuse(`${path}.${carriedAt(strange)}`, 'items other than complete ones from its own answers');
  return undefined;
}

/** Fields of an assistant's message that no item has a place for. */
const HOMELESS_FIELDS = { function_call: 'function calls', audio: 'audio', images: 'images from the model' };

function assistantItems(message: ChatMessage, path: string, refuse: Refuse): WireObject[] {
  for (const [field, what] of Object.entries(HOMELESS_FIELDS)) {
    const value = message[field];
    if (value && !(Array.isArray(value) && value.length === 0)) refuse(`${path}.${field}`, what);
  }
  const text = saidText(message);
  const said = [
    ...(text === '' ? [] : [{ type: 'output_text', text, annotations: [] }]),
    ...refusalsIn(message).map((refusal) => ({ type: 'refusal', refusal })),
  ];
  refuseOtherParts(message.content, path, refuse);
  const calls = (message.tool_calls ?? []).map((call) => callItem(call));
  return [...(said.length > 0 ? [{ type: 'message', role: 'assistant', content: said }] : []), ...calls];
}

function refusalsIn({ refusal, content }: ChatMessage): unknown[] {
  if (refusal) return [refusal];
  return Array.isArray(content)
    ? content.filter(({ type }) => type === 'refusal').map((part: WireObject) => part.refusal)
    : [];
}

function refuseOtherParts(content: ChatMessage['content'], path: string, refuse: Refuse): void {
  if (!Array.isArray(content)) return;
  for (const [index, { type }] of content.entries()) {
    if (type !== 'text' && type !== 'refusal')
      refuse(`${path}.content[${index}].type`, `"${type}" in an assistant message`);
  }
}

/** A call is named by its `call_id` (`call_…`); the item's own id (`fc_…`) never leaves the gateway in `tool_calls`. */
function callItem(call: WireObject): WireObject {
  const custom = asObject(call.custom);
  if (custom) return { type: 'custom_tool_call', call_id: call.id, name: custom.name, input: custom.input };
  const called = asObject(call.function);
  return { type: 'function_call', call_id: call.id, name: called?.name, arguments: called?.arguments };
}

/** A program that made the call waits for the result, so it is named with it. */
function toolOutput(
  message: ChatMessage,
  call: WireObject | undefined,
  path: string,
  refuse: Refuse,
): WireObject {
  const caller = callerOf(call);
  return {
    type: call?.type === 'custom_tool_call' ? 'custom_tool_call_output' : 'function_call_output',
    call_id: message.tool_call_id,
    output: inputContent(message.content ?? '', path, refuse),
    ...(caller ? { caller } : {}),
  };
}

/** This wire has no names: the speaker is written before the text, as in a script. */
function spokenContent(message: ChatMessage, path: string, refuse: Refuse): string | WireObject[] {
  const content = inputContent(message.content, path, refuse);
  const { name } = message;
  if (!name || content.length === 0) return content;
  if (typeof content === 'string') return `${name}: ${content}`;
  const [first, ...others] = content;
  return first?.type === 'input_text'
    ? [{ ...first, text: `${name}: ${String(first.text)}` }, ...others]
    : [{ type: 'input_text', text: `${name}:` }, ...content];
}

function inputContent(content: ChatMessage['content'], path: string, refuse: Refuse): string | WireObject[] {
  if (typeof content === 'string') return content;
  return (content ?? []).flatMap((part, index) => inputPart(part, `${path}.content[${index}]`, refuse));
}

/** Fields beside the part's own (`prompt_cache_breakpoint`, and newer ones) stay beside it. */
function inputPart(part: ContentPart, param: string, refuse: Refuse): WireObject[] {
  const { image_url: image, file, ...rest }: WireObject = part;
  switch (part.type) {
    case 'text':
      return [{ ...rest, type: 'input_text' }];
    case 'image_url':
      return [{ ...rest, ...imagePart(asObject(image) ?? {}) }];
    case 'file':
      return [{ ...rest, ...asObject(file), type: 'input_file' }];
    case 'input_audio':
      refuse(param, 'audio');
      return [];
    default:
      return [{ ...part }];
  }
}

function imagePart({ url, detail }: WireObject): WireObject {
  return { type: 'input_image', image_url: url, detail: detail ?? 'auto' };
}
