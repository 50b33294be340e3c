import type { ChatMessage, ChatRequest, ProviderCall, ToolCall } from '@app/contracts';
import type { OpenAiDialect } from './openai-compatible.dialect.js';
import type { WireObject } from './openai-compatible.wire.js';

/**
 * The client's request -> the body for the upstream: as it came, except for the model's name, the output limit, the
 * request for usage in streams, and what only the gateway's own answers have.
 */
export function toWireRequest(call: ProviderCall, dialect: OpenAiDialect, stream: boolean): WireObject {
  const { request, upstreamModel, maxOutputTokens } = call;
  const {
    max_tokens: _older,
    max_completion_tokens: _newer,
    stream: _stream,
    stream_options: options,
    ...rest
  } = request;
  const body: WireObject = rest;
  body.model = upstreamModel;
  body.messages = wireMessages(request.messages, dialect);
  if (maxOutputTokens !== undefined) {
    body[dialect.outputLimitField(request, upstreamModel)] = maxOutputTokens;
  }
  if (stream) addStreamFields(body, options, dialect);
  return body;
}

function addStreamFields(
  body: WireObject,
  options: ChatRequest['stream_options'],
  dialect: OpenAiDialect,
): void {
  const merged = dialect.streamUsage ? { ...options, include_usage: true } : { ...options };
  body.stream = true;
  if (Object.keys(merged).length > 0) body.stream_options = merged;
}

function wireMessages(messages: ChatMessage[], dialect: OpenAiDialect): ChatMessage[] {
  const needsCleaning = (message: ChatMessage) => hasOwnFields(message, dialect);
  return messages.some(needsCleaning)
    ? messages.map((message) => (needsCleaning(message) ? withoutOwnFields(message, dialect) : message))
    : messages;
}

function hasOwnFields(message: ChatMessage, dialect: OpenAiDialect): boolean {
  return (
    'provider_specific_fields' in message ||
    (!dialect.takesReasoningContent && 'reasoning_content' in message) ||
    (message.tool_calls?.some((call) => 'provider_specific_fields' in call) ?? false)
  );
}

function withoutOwnFields(message: ChatMessage, dialect: OpenAiDialect): ChatMessage {
  const { provider_specific_fields: _fields, ...kept } = message;
  if (!dialect.takesReasoningContent) delete kept.reasoning_content;
  if (kept.tool_calls) kept.tool_calls = kept.tool_calls.map(withoutFields);
  return kept;
}

function withoutFields(call: ToolCall): ToolCall {
  const { provider_specific_fields: _fields, ...kept } = call;
  return kept;
}
