import type { ChatMessage, ChatRequest } from '@app/contracts';
import { asObject } from './media-sum.js';

/** Anthropic's hour, OpenAI's twelve. In a client's text the quotes would be escaped. */
const LONG = /"ttl":"(?:1|12)h"/;

/** Marks may stand on any part, message, call or tool, or on the request: for its last block. */
export function asksForLongCache(request: ChatRequest): boolean {
  if (!isAnyMarked(request)) return false;
  const { messages, tools, functions } = request;
  const marks = [request['cache_control'], request['prompt_cache_options'], messages, tools, functions];
  return LONG.test(JSON.stringify(marks));
}

function isAnyMarked(request: ChatRequest): boolean {
  return (
    isMarked(request) ||
    'prompt_cache_options' in request ||
    areMarked(request.tools) ||
    areMarked(request.functions) ||
    request.messages.some(isMessageMarked)
  );
}

function isMessageMarked(message: ChatMessage): boolean {
  return (
    isMarked(message) ||
    areMarked(message.content) ||
    areMarked(message.tool_calls) ||
    areMarked(asObject(message.provider_specific_fields)?.['anthropic_content'])
  );
}

function areMarked(list: unknown): boolean {
  return Array.isArray(list) && list.some((item) => isMarked(item) || isMarked(asObject(item)?.['function']));
}

function isMarked(value: unknown): boolean {
  const fields = asObject(value);
  return fields !== undefined && ('cache_control' in fields || 'prompt_cache_breakpoint' in fields);
}
