import type { ChatMessage } from '@app/contracts';
import { TOOL_USE_EXTRAS } from './anthropic.tools.js';
import { isBlock, textOf, type WireBlock } from './anthropic.wire.js';

interface PlainBlock {
  /** Position in the order in which a turn is rebuilt from its OpenAI form. */
  readonly rank: number;
  /** Fields that have a place in the OpenAI form. */
  readonly fields: readonly string[];
}

const PLAIN_BLOCKS: Readonly<Record<string, PlainBlock>> = Object.freeze({
  thinking: { rank: 0, fields: ['type', 'thinking', 'signature'] },
  redacted_thinking: { rank: 0, fields: ['type', 'data'] },
  text: { rank: 1, fields: ['type', 'text'] },
  tool_use: { rank: 2, fields: ['type', 'id', 'name', 'input', ...TOOL_USE_EXTRAS] },
});

/**
 * Whether these blocks cannot be rebuilt exactly from the OpenAI form (`thinking_blocks`, `content`, `tool_calls`): because of
 * another order, two texts in a row, citations, server tools, or blocks and fields that we do not know.
 */
export function needsRawContent(blocks: readonly WireBlock[]): boolean {
  let rank = 0;
  return blocks.some((block, at) => {
    if (block.type === 'text' && blocks[at - 1]?.type === 'text') return true;
    const plain = Object.hasOwn(PLAIN_BLOCKS, block.type) ? PLAIN_BLOCKS[block.type] : undefined;
    if (!plain || plain.rank < rank || hasMore(block, plain.fields)) return true;
    rank = plain.rank;
    return false;
  });
}

function hasMore(block: WireBlock, fields: readonly string[]): boolean {
  return Object.entries(block).some(([name, value]) => !fields.includes(name) && !isNothing(value));
}

function isNothing(value: unknown): boolean {
  return value === null || value === undefined || (Array.isArray(value) && value.length === 0);
}

/** Whether `raw` holds the blocks of exactly this message: the same text and the same calls. */
export function isRawContentOf(message: ChatMessage, raw: unknown): raw is WireBlock[] {
  if (!Array.isArray(raw) || !raw.every(isBlock) || message.function_call) return false;
  const ids = (message.tool_calls ?? []).map((call) => call.id);
  return visibleText(message) === textOfBlocks(raw) && ids.join('\n') === toolUseIds(raw).join('\n');
}

export function textOfBlocks(blocks: readonly WireBlock[]): string {
  return blocks.map((block) => (block.type === 'text' ? textOf(block.text) : '')).join('');
}

function toolUseIds(blocks: readonly WireBlock[]): string[] {
  return blocks.filter((block) => block.type === 'tool_use').map((block) => textOf(block.id));
}

function visibleText(message: ChatMessage): string {
  if (typeof message.content === 'string') return message.content;
  return (message.content ?? []).map((part) => (part.type === 'text' ? textOf(part.text) : '')).join('');
}
