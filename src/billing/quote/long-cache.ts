import type { ChatMessage, ChatRequest } from '@app/contracts';
import { asObject } from './media-sum.js';

/** Marks may be on any part (also a nested one), message, call or tool, or on the request, where they mean its last block. */
export function asksForLongCache(request: ChatRequest): boolean {
  return (
    isLong(request['prompt_cache_options']) ||
    isMarked(request) ||
    areMarked(request.tools) ||
    areMarked(request.functions) ||
    request.messages.some(isMessageMarked)
  );
}

function isMessageMarked(message: ChatMessage): boolean {
  return (
    isItemMarked(message) ||
    areMarked(message.tool_calls) ||
    areMarked(asObject(message.provider_specific_fields)?.['anthropic_content'])
  );
}

function areMarked(list: unknown): boolean {
  return Array.isArray(list) && list.some(isItemMarked);
}

function isItemMarked(item: unknown): boolean {
  const fields = asObject(item);
  return (
    fields !== undefined &&
    (isMarked(fields) ||
      isMarked(fields['function']) ||
      areMarked(fields['content']) ||
      areMarked(asObject(fields['source'])?.['content']))
  );
}

function isMarked(value: unknown): boolean {
  const fields = asObject(value);
  return (
    fields !== undefined && (isLong(fields['cache_control']) || isLong(fields['prompt_cache_breakpoint']))
  );
}

/** Anthropic's hour, OpenAI's twelve. */
function isLong(mark: unknown): boolean {
  const ttl = asObject(mark)?.['ttl'];
  return ttl === '1h' || ttl === '12h';
}
