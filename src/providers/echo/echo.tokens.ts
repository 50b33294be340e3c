import type { ChatMessage, ChatRequest } from '@app/contracts';

const TOKEN = /\s*\S{1,8}|\s+/gu;
/** Tokens around each message. */
const TOKENS_PER_MESSAGE = 3;
const TOKENS_PER_ATTACHMENT = 85;

/**
 * Text -> this provider's tokens: up to eight characters of a word, with the white space before them. Joined they give the
 * text again; there are never more of them than bytes.
 */
export function tokensOf(text: string): string[] {
  return text.match(TOKEN) ?? [];
}

/** @returns their number, or any number above `limit` if there are more */
export function countInputTokens(request: ChatRequest, limit: number): number {
  let total = 0;
  for (const message of request.messages) {
    total += countMessage(message, limit - total);
    if (total > limit) return total;
  }
  for (const value of [request.tools, request.functions, request.response_format]) {
    total += countJson(value, limit - total);
    if (total > limit) return total;
  }
  return total;
}

function countMessage(message: ChatMessage, limit: number): number {
  const framed = TOKENS_PER_MESSAGE + countContent(message.content, limit);
  return framed + countJson(message.tool_calls, limit - framed);
}

function countContent(content: ChatMessage['content'], limit: number): number {
  if (typeof content === 'string') return countTokens(content, limit);
  let total = 0;
  for (const part of content ?? []) {
    if (total > limit) break;
    total += typeof part.text === 'string' ? countTokens(part.text, limit - total) : TOKENS_PER_ATTACHMENT;
  }
  return total;
}

function countJson(value: unknown, limit: number): number {
  return value === undefined || value === null || limit < 0 ? 0 : countTokens(JSON.stringify(value), limit);
}

/** One by one: to list millions of them would block the event loop. */
function countTokens(text: string, limit: number): number {
  let count = 0;
  for (const _token of text.matchAll(TOKEN)) if (++count > limit) break;
  return count;
}
