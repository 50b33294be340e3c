import type { ChatMessage } from '@app/contracts';
import { asArray, asObject, asText, type WireObject } from '../openai-compatible/openai-compatible.wire.js';

/**
 * The parts of an answer that a chat message has no place for, and how they come back.
 *
 * An answer is a list of items: reasoning (encrypted), texts, calls, server-side tools, in an order that has to be kept
 * ("reasoning item without its required following item" is a 400). The client gets the list in
 * `provider_specific_fields.response_output` and sends it back with the message. Texts and arguments are cut out of it, and put
 * back from the message itself.
 */
const FIELD = 'response_output';
const TEXT_LENGTH = 'text_length';

/**
 * The types of items in answers, each with the field that has its content. An item without that field is a mere reference:
 * OpenAI would put in what it has stored under the id, for whichever user of the key. What comes from clients alone (results,
 * files, further tools) belongs into the messages, where it is checked and held for.
 */
const SAID_BY: Readonly<Record<string, string>> = {
  message: 'content',
  reasoning: 'encrypted_content',
  compaction: 'encrypted_content',
  function_call: 'call_id',
  custom_tool_call: 'call_id',
  web_search_call: 'action',
  file_search_call: 'queries',
  code_interpreter_call: 'container_id',
  computer_call: 'call_id',
  image_generation_call: 'result',
  mcp_list_tools: 'server_label',
  mcp_approval_request: 'server_label',
  mcp_call: 'server_label',
  local_shell_call: 'action',
  shell_call: 'action',
  shell_call_output: 'output',
  apply_patch_call: 'operation',
  tool_search_call: 'arguments',
  tool_search_output: 'tools',
  program: 'code',
  program_output: 'result',
};
/** Tools that a tool search may find. Those that OpenAI bills by the call have to be named in the request, for the hold. */
const FOUND_TOOLS = new Set<unknown>(['function', 'custom', 'namespace', 'mcp']);

/**
 * @param status  of the response: OpenAI does not take back the reasoning at the end of an incomplete one
 * @returns `undefined` when the message has everything, or when one of the items could not be taken back
 */
export function carriedFields(
  whole: readonly WireObject[],
  status: unknown,
): { [FIELD]: WireObject[] } | undefined {
  const end =
    status === 'incomplete' ? whole.findLastIndex(({ type }) => type !== 'reasoning') + 1 : undefined;
  const output = whole.slice(0, end);
  if (!output.some(isOpaque) || output.some(hasRefusal) || !output.every(isOfAnAnswer)) return undefined;
  return { [FIELD]: output.map(withoutSaid) };
}

/** Whether an item is of a type that answers have, and has its content. */
export function isOfAnAnswer(item: WireObject): boolean {
  const { type } = item;
  if (typeof type !== 'string' || !Object.hasOwn(SAID_BY, type)) return false;
  const said = item[SAID_BY[type] ?? ''];
  if (said === undefined || said === null || said === '') return false;
  return (
    type !== 'tool_search_output' || asArray(said).every((tool) => FOUND_TOOLS.has(asObject(tool)?.type))
  );
}

/** The path of an item in its message. */
export function carriedAt(index: number): string {
  return `provider_specific_fields.${FIELD}[${index}]`;
}

/**
 * The items of an earlier answer, as the client sent them back.
 *
 * @returns `undefined` when there are none, or when they no longer fit the message, which is then sent without them
 */
export function replayedItems(message: ChatMessage): WireObject[] | undefined {
  const carried = asArray(message.provider_specific_fields?.[FIELD]).map((item) => asObject(item) ?? {});
  if (carried.length === 0 || !fits(carried, message)) return undefined;
  const text = saidText(message);
  let at = 0;
  return carried.map((item) => {
    switch (item.type) {
      case 'message': {
        const start = at;
        at += lengthOf(item);
        return withText(item, text.slice(start, at));
      }
      case 'function_call':
      case 'custom_tool_call':
        return withCall(item, message);
      default:
        return item;
    }
  });
}

/** The text of an assistant's message; some clients send it back in parts. */
export function saidText({ content }: ChatMessage): string {
  if (typeof content === 'string') return content;
  return (content ?? []).map((part) => (part.type === 'text' ? (asText(part.text) ?? '') : '')).join('');
}

/** The text of a message item, refusals left out. */
export function textOf(item: WireObject): string {
  return partsOf(item, 'output_text')
    .map((part) => asText(part.text) ?? '')
    .join('');
}

export function partsOf(item: WireObject, type: string): WireObject[] {
  return asArray(item.content)
    .map((part) => asObject(part) ?? {})
    .filter((part) => part.type === type);
}

function isOpaque(item: WireObject): boolean {
  if (item.type === 'message') return asText(item.phase) !== undefined;
  if (!isToolCall(item)) return true;
  return Boolean(item.namespace) || item.async === true || callerOf(item) !== undefined;
}

/** The program that made a call; most calls are the model's own. */
export function callerOf(item: WireObject | undefined): WireObject | undefined {
  const caller = asObject(item?.caller);
  return caller?.type === 'program' ? caller : undefined;
}

export function isToolCall({ type }: WireObject): boolean {
  return type === 'function_call' || type === 'custom_tool_call';
}

function hasRefusal(item: WireObject): boolean {
  return item.type === 'message' && partsOf(item, 'refusal').length > 0;
}

function withoutSaid(item: WireObject): WireObject {
  switch (item.type) {
    case 'message': {
      const { content: _content, ...rest } = item;
      return { ...rest, [TEXT_LENGTH]: textOf(item).length };
    }
    case 'function_call':
    case 'custom_tool_call': {
      const { arguments: _arguments, input: _input, name: _name, ...rest } = item;
      return rest;
    }
    default:
      return item;
  }
}

/** The client may have edited the conversation: nothing is guessed then. */
function fits(carried: readonly WireObject[], message: ChatMessage): boolean {
  const said = saidText(message).length;
  const length = carried.reduce((total, item) => total + (item.type === 'message' ? lengthOf(item) : 0), 0);
  const calls = carried.filter(isToolCall);
  const known = new Set((message.tool_calls ?? []).map(({ id }) => id));
  return (
    said === length &&
    calls.length === known.size &&
    calls.every(({ call_id: id }) => typeof id === 'string' && known.has(id))
  );
}

function lengthOf(item: WireObject): number {
  const length = item[TEXT_LENGTH];
  return typeof length === 'number' ? length : 0;
}

function withText(item: WireObject, text: string): WireObject {
  const { [TEXT_LENGTH]: _length, ...rest } = item;
  return { ...rest, content: text === '' ? [] : [{ type: 'output_text', text, annotations: [] }] };
}

function withCall(item: WireObject, message: ChatMessage): WireObject {
  const call = message.tool_calls?.find(({ id }) => id === item.call_id);
  const custom = asObject(call?.custom);
  return custom
    ? { ...item, name: custom.name, input: custom.input }
    : { ...item, name: call?.function?.name, arguments: call?.function?.arguments };
}
