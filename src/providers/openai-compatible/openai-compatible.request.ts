import type { ChatMessage, ChatRequest, ProviderCall, ToolCall } from '@app/contracts';
import type { OpenAiDialect } from './openai-compatible.dialect.js';
import type { WireObject } from './openai-compatible.wire.js';

/** Fields of other servers' answers that OpenAI does not know. */
export const REASONING_FIELDS = ['reasoning_content', 'reasoning', 'reasoning_details'] as const;

/** Fields that are often empty in OpenAI's answers, or that its SDKs add. Clients send them all back. */
const OFTEN_EMPTY = [
  'refusal',
  'annotations',
  'audio',
  'function_call',
  'tool_calls',
  'parsed',
  'name',
] as const;

/**
 * The client's request -> the body for the upstream: unchanged but for the model's name, the output limit, the request for
 * usage in streams, the developer's role, and fields that only the gateway's own answers have.
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
  body.stream = true;
  if (dialect.streamUsage) body.stream_options = { ...options, include_usage: true };
}

function wireMessages(messages: ChatMessage[], dialect: OpenAiDialect): ChatMessage[] {
  const isOther = (message: ChatMessage) => needsChange(message, dialect);
  return messages.some(isOther)
    ? messages.map((message) => (isOther(message) ? changed(message, dialect) : message))
    : messages;
}

function needsChange(message: ChatMessage, dialect: OpenAiDialect): boolean {
  return (
    'provider_specific_fields' in message ||
    (!dialect.takesDeveloperRole && message.role === 'developer') ||
    hasOtherReasoning(message, dialect) ||
    (!dialect.takesEmptyFields && OFTEN_EMPTY.some((field) => isEmpty(message[field]))) ||
    (!dialect.takesExtraContent && 'extra_content' in message) ||
    answersNothing(message) ||
    (message.tool_calls?.some((call) => hasOthers(call, dialect)) ?? false)
  );
}

function changed(message: ChatMessage, dialect: OpenAiDialect): ChatMessage {
  const { provider_specific_fields: _fields, ...kept } = message;
  if (!dialect.takesEmptyFields)
    for (const field of OFTEN_EMPTY) if (isEmpty(kept[field])) delete kept[field];
  if (!dialect.takesDeveloperRole && kept.role === 'developer') kept.role = 'system';
  if (!dialect.takesReasoningContent) for (const field of REASONING_FIELDS) delete kept[field];
  else if (dialect.reasoningName === 'reasoning') renameReasoning(kept);
  if (!dialect.takesExtraContent) delete kept.extra_content;
  if (answersNothing(kept)) kept.content = '';
  if (kept.tool_calls) kept.tool_calls = kept.tool_calls.map((call) => withoutOthers(call, dialect));
  return kept;
}

/** Go's clients leave an empty text out, and some servers want one. */
function answersNothing({ role, content }: ChatMessage): boolean {
  return role === 'tool' && (content === undefined || content === null);
}

function isEmpty(value: unknown): boolean {
  return value === null || (Array.isArray(value) && value.length === 0);
}

function hasOtherReasoning(message: ChatMessage, dialect: OpenAiDialect): boolean {
  return dialect.takesReasoningContent
    ? dialect.reasoningName === 'reasoning' && 'reasoning_content' in message
    : REASONING_FIELDS.some((field) => field in message);
}

function renameReasoning(message: ChatMessage): void {
  const { reasoning_content: reasoning } = message;
  delete message.reasoning_content;
  if (reasoning) message.reasoning ??= reasoning;
}

function hasOthers(call: ToolCall, dialect: OpenAiDialect): boolean {
  return 'provider_specific_fields' in call || (!dialect.takesExtraContent && 'extra_content' in call);
}

function withoutOthers(call: ToolCall, dialect: OpenAiDialect): ToolCall {
  const { provider_specific_fields: _fields, ...kept } = call;
  if (!dialect.takesExtraContent) delete kept.extra_content;
  return kept;
}
