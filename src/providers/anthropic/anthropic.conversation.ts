import type { ChatMessage } from '@app/contracts';
import { assistantBlocks } from './anthropic.assistant.js';
import {
  type ContentContext,
  takenBlocks,
  textBlocks,
  toBlocks,
  withCacheControl,
} from './anthropic.content.js';
import { invalidBody, unsupportedParameter } from '../translation/unsupported-params.js';
import { isServerCall, isThinking, textOf, type WireBlock, type WireMessage } from './anthropic.wire.js';

export interface Conversation {
  readonly system: WireBlock[];
  readonly messages: WireMessage[];
}

/**
 * OpenAI's messages -> `system` and alternating turns.
 *
 * Leading system and developer messages become `system` blocks, in order. Later ones keep their place: as a `system` message at
 * the end of the user's turn where the model accepts one (after a user message, and before an assistant message or at the end),
 * otherwise as text in the user's turn between `<system>` tags. If there are only system messages, the last one becomes the
 * user's, because Anthropic requires at least one message.
 *
 * @throws GatewayError  `invalid_body`, `unsupported_parameter`
 */
export function toConversation(messages: readonly ChatMessage[], context: ContentContext): Conversation {
  const leading = countLeadingSystem(messages);
  const system = messages
    .slice(0, leading)
    .flatMap((message, index) => systemBlocks(message, `messages[${index}]`, context));
  const turns = new Turns(context);
  messages.slice(leading).forEach((message, index) => turns.add(message, leading + index));
  const wire = turns.toMessages();
  if (wire.length === 0) throw invalidBody('messages', 'must contain a message with content');
  if (wire.at(-1)?.role === 'assistant') keepLast(messages, context);
  return { system, messages: wire };
}

/** If the last message was dropped and an assistant message is now last, the model would be asked to continue its own words. */
function keepLast(messages: readonly ChatMessage[], { unsupported }: ContentContext): void {
  if (messages.at(-1)?.role === 'assistant') return;
  const path = `messages[${messages.length - 1}]`;
  const lost = unsupported.dropped.find((param) => param.startsWith(path));
  if (lost !== undefined)
    throw unsupportedParameter(lost, 'cannot be left out: the conversation would end with the assistant');
}

export function hasThoughts(messages: readonly WireMessage[]): boolean {
  return messages.some(({ content }) => content.some(isThinking));
}

/** The current turn has tool results but no thinking. A turn lasts as long as the user sends only tool results. */
export function isThoughtlessTurn(messages: readonly WireMessage[]): boolean {
  let hasCalled = false;
  for (let at = messages.length - 1; at >= 0; at -= 1) {
    const { role, content } = messages[at] ?? { role: 'system', content: [] };
    if (content.some(isThinking)) return false;
    if (role === 'user' && !content.some(({ type }) => type === 'tool_result')) return hasCalled;
    hasCalled ||= content.some(({ type }) => type === 'tool_use');
  }
  return hasCalled;
}

function isSystem(message: ChatMessage | undefined): boolean {
  return message?.role === 'system' || message?.role === 'developer';
}

function countLeadingSystem(messages: readonly ChatMessage[]): number {
  let count = 0;
  while (count < messages.length - 1 && isSystem(messages[count])) count += 1;
  return count;
}

/** Fields that Anthropic has in beta for system messages in its own form. */
const OWN_OF_SYSTEM = ['clear_at', 'output_config'] as const;

function systemBlocks(message: ChatMessage, path: string, context: ContentContext): WireBlock[] {
  for (const name of OWN_OF_SYSTEM) {
    if (message[name]) context.unsupported.refuse(`${path}.${name}`, 'is not accepted by the gateway');
  }
  return closedByCacheControl(named(contentBlocks(message, path, context), message.name), message);
}

function contentBlocks(message: ChatMessage, path: string, context: ContentContext): WireBlock[] {
  return toBlocks(message.content, `${path}.content`, context);
}

/** Anthropic has no names for speakers: the name is written before the text, as in a script. */
function named(blocks: WireBlock[], name: string | undefined): WireBlock[] {
  if (!name || blocks.length === 0) return blocks;
  const [first, ...others] = blocks;
  return first?.type === 'text'
    ? [{ ...first, text: `${name}: ${textOf(first.text)}` }, ...others]
    : [...textBlocks(`${name}:`, undefined), ...blocks];
}

/** `cache_control` on a message applies to its last block. */
function closedByCacheControl(blocks: WireBlock[], message: ChatMessage): WireBlock[] {
  const last = blocks.at(-1);
  return last && message.cache_control
    ? [...blocks.slice(0, -1), withCacheControl(last, message.cache_control)]
    : blocks;
}

interface UserTurn {
  readonly role: 'user';
  /** Tool results must come before everything else in the turn. */
  readonly results: WireBlock[];
  readonly content: WireBlock[];
  /** System blocks, which become a message of their own where possible. */
  readonly system: WireBlock[];
}

interface AssistantTurn {
  readonly role: 'assistant';
  readonly content: WireBlock[];
}

/** Merges consecutive messages of one side into one turn. A message without content does not begin a turn. */
class Turns {
  readonly #turns: (UserTurn | AssistantTurn)[] = [];
  /** The legacy dialect has no ids: a result answers the last call. */
  #lastFunctionCallId = 'call_0';
  /** The toolset of each call, by the call's id: the result has to name it, too. */
  readonly #toolsets = new Map<unknown, unknown>();

  constructor(private readonly context: ContentContext) {}

  add(message: ChatMessage, index: number): void {
    const path = `messages[${index}]`;
    if (message.role !== 'assistant') this.context.toolUseIds.endTurn();
    switch (message.role) {
      case 'assistant':
        return this.#addAssistant(message, index, path);
      case 'tool':
        return this.#addResult(message, textOf(message.tool_call_id), path);
      case 'function':
        return this.#addResult(message, this.#lastFunctionCallId, path);
      case 'system':
      case 'developer':
        return this.#addSystem(message, path);
      case 'user':
        return this.#addToUser('content', systemBlocks(message, path, this.context));
    }
  }

  toMessages(): WireMessage[] {
    return withoutTrailingSpace(
      this.#turns.flatMap((turn, at) =>
        turn.role === 'user' ? userMessages(turn) : assistantMessages(turn, this.#turns[at + 1]),
      ),
    );
  }

  #addAssistant(message: ChatMessage, index: number, path: string): void {
    const functionCallId = `call_${index}`;
    if (message.function_call) this.#lastFunctionCallId = functionCallId;
    const blocks = closedByCacheControl(
      takenBlocks(assistantBlocks(message, path, functionCallId, this.context), path, this.context),
      message,
    );
    for (const { id, toolset_name: name } of blocks) if (name) this.#toolsets.set(id, name);
    const last = this.#turns.at(-1);
    if (last?.role === 'assistant') last.content.push(...blocks);
    else if (blocks.length > 0) this.#turns.push({ role: 'assistant', content: [...blocks] });
  }

  #addResult(message: ChatMessage, toolCallId: string, path: string): void {
    const id = this.context.toolUseIds.result(toolCallId);
    const block: WireBlock = { type: 'tool_result', tool_use_id: id };
    const content = resultContent(message, path, this.context);
    if (content !== undefined) block.content = content;
    if (message.is_error === true) block.is_error = true;
    const toolset = this.#toolsets.get(id);
    if (toolset !== undefined) block.toolset_name = toolset;
    this.#addToUser(
      'results',
      takenBlocks([withCacheControl(block, message.cache_control)], path, this.context),
    );
  }

  #addSystem(message: ChatMessage, path: string): void {
    const blocks = systemBlocks(message, path, this.context);
    if (this.context.traits.systemTurns) this.#addToUser('system', blocks);
    else this.#addToUser('content', blocks.map(asUserText));
  }

  #addToUser(part: 'results' | 'content' | 'system', blocks: readonly WireBlock[]): void {
    if (blocks.length === 0) return;
    const last = this.#turns.at(-1);
    if (last?.role === 'user') last[part].push(...blocks);
    else this.#turns.push({ role: 'user', results: [], content: [], system: [], [part]: [...blocks] });
  }
}

/**
 * A turn may pause while one of Anthropic's own tools runs. It continues if it is sent back as the last message, or followed by
 * tool results of the client. Once the user has spoken, Anthropic refuses a call without a result, so such calls are left out.
 */
function assistantMessages(turn: AssistantTurn, next: UserTurn | AssistantTurn | undefined): WireMessage[] {
  const goesOn = next?.role !== 'user' || next.results.length > 0;
  if (goesOn || !turn.content.some(isServerCall)) return [turn];
  const answered = new Set(turn.content.map(({ tool_use_id: id }) => id));
  const content = turn.content.filter((block) => !isServerCall(block) || answered.has(block.id));
  if (content.length < turn.content.length) {
    // A turn must not end with thinking.
    for (let last = content.at(-1); last && isThinking(last); last = content.at(-1)) content.pop();
  }
  return content.length > 0 ? [{ role: 'assistant', content }] : [];
}

function userMessages(turn: UserTurn): WireMessage[] {
  const content = [...turn.results, ...turn.content];
  if (content.length === 0) return [{ role: 'user', content: turn.system.map(asUserText) }];
  const user: WireMessage = { role: 'user', content };
  return turn.system.length > 0 ? [user, { role: 'system', content: turn.system }] : [user];
}

function asUserText(block: WireBlock): WireBlock {
  return block.type === 'text' ? { ...block, text: `<system>\n${textOf(block.text)}\n</system>` } : block;
}

/** A string stays a string: most tools return one, and it is the shorter form. */
function resultContent(
  message: ChatMessage,
  path: string,
  context: ContentContext,
): string | WireBlock[] | undefined {
  if (typeof message.content === 'string') return message.content === '' ? undefined : message.content;
  const blocks = contentBlocks(message, path, context);
  return blocks.length > 0 ? blocks : undefined;
}

/** Anthropic refuses trailing white space in a last message that begins the answer (prefill). */
function withoutTrailingSpace(messages: WireMessage[]): WireMessage[] {
  const last = messages.at(-1);
  const block = last?.content.at(-1);
  if (last?.role !== 'assistant' || block?.type !== 'text') return messages;
  const content = [...last.content.slice(0, -1), { ...block, text: textOf(block.text).trimEnd() }];
  return [...messages.slice(0, -1), { role: 'assistant', content }];
}
