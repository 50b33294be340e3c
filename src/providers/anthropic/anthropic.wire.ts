import { isObject, type JsonObject } from '../translation/json-object.js';

export { isObject, type JsonObject, objects } from '../translation/json-object.js';

/**
 * The part of Anthropic's Messages API that we read. Unknown fields pass: blocks and events are records, and every field is read
 * through the guards below, because the server behind `ANTHROPIC_BASE_URL` is not trusted.
 *
 * The SDK's types are closed unions of what existed at its release, so they are not used for what we receive.
 */
/** A content block of a message: `text`, `thinking`, `tool_use`, `server_tool_use`, … */
export interface WireBlock {
  type: string;
  [key: string]: unknown;
}

export interface WireMessage {
  role: 'user' | 'assistant' | 'system';
  content: WireBlock[];
}

/** The body of `POST /v1/messages`. */
export interface WireRequest {
  model: string;
  max_tokens: number;
  messages: WireMessage[];
  system?: WireBlock[];
  stream?: true;
  [key: string]: unknown;
}

/** A whole answer. */
export interface WireAnswer {
  type: 'message';
  id: string;
  content: WireBlock[];
  [key: string]: unknown;
}

/** An event of a stream: `message_start`, `content_block_delta`, … */
export interface WireEvent {
  type: string;
  [key: string]: unknown;
}

export function isBlock(value: unknown): value is WireBlock {
  return isObject(value) && typeof value.type === 'string';
}

/** A call of a tool that Anthropic runs. */
export function isServerCall({ type }: WireBlock): boolean {
  return type === 'server_tool_use' || type === 'mcp_tool_use';
}

/** The result of such a call. */
export function isServerResult({ type }: WireBlock): boolean {
  return type.endsWith('_tool_result');
}

export function isThinking(block: WireBlock): boolean {
  return block.type === 'thinking' || block.type === 'redacted_thinking';
}

export function isEvent(value: unknown): value is WireEvent {
  return isBlock(value);
}

export function isAnswer(value: unknown): value is WireAnswer {
  return (
    isObject(value) &&
    value.type === 'message' &&
    typeof value.id === 'string' &&
    Array.isArray(value.content) &&
    value.content.every(isBlock)
  );
}

export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** The named fields, without those that are not set. */
export function pick(fields: JsonObject, names: readonly string[]): JsonObject {
  return withoutEmpty(Object.fromEntries(names.map((name) => [name, fields[name]])));
}

/** Without the fields that are `undefined` or `null`. */
export function withoutEmpty(fields: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined && value !== null),
  );
}
