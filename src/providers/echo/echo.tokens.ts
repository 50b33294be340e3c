import type { ChatMessage, ChatRequest } from '@app/contracts';

/** Tokens around each message. */
const TOKENS_PER_MESSAGE = 3;
const TOKENS_PER_ATTACHMENT = 85;

/**
 * Text -> this provider's tokens: up to eight characters of a word, with the white space before them. Joined they are
 * the text again; their number never exceeds the text's bytes.
 */
export function tokensOf(text: string): string[] {
  return text.match(/\s*\S{1,8}|\s+/gu) ?? [];
}

export function countInputTokens(request: ChatRequest): number {
  const messages = request.messages.reduce((total, message) => total + countMessage(message), 0);
  return (
    messages + countJson(request.tools) + countJson(request.functions) + countJson(request.response_format)
  );
}

function countMessage(message: ChatMessage): number {
  return TOKENS_PER_MESSAGE + countContent(message.content) + countJson(message.tool_calls);
}

function countContent(content: ChatMessage['content']): number {
  if (typeof content === 'string') return tokensOf(content).length;
  return (content ?? []).reduce(
    (total, part) =>
      total + (typeof part.text === 'string' ? tokensOf(part.text).length : TOKENS_PER_ATTACHMENT),
    0,
  );
}

function countJson(value: unknown): number {
  return value === undefined || value === null ? 0 : tokensOf(JSON.stringify(value)).length;
}
