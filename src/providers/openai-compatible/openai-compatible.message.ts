import { randomBytes } from 'node:crypto';
import type { AnswerContext } from './openai-compatible.response.js';
import { asArray, asObject, asText, type WireObject } from './openai-compatible.wire.js';

/** Text and reasoning of a message or a delta, wherever the server put them. */
export function normaliseText(message: WireObject, onReasoning: AnswerContext['onReasoning']): void {
  if (Array.isArray(message.content)) splitParts(message, message.content);
  else if (asObject(message.content)) message.content = JSON.stringify(message.content);
  if (typeof message.reasoning === 'string') renameReasoning(message, message.reasoning, onReasoning);
}

/** OpenRouter, Groq, Ollama and newer vLLM call it `reasoning`; vLLM used both names for a while. */
function renameReasoning(
  message: WireObject,
  reasoning: string,
  onReasoning: AnswerContext['onReasoning'],
): void {
  delete message.reasoning;
  if (typeof message.reasoning_content === 'string') return;
  message.reasoning_content = reasoning;
  if (reasoning !== '') onReasoning?.();
}

/**
 * Mistral's reasoning models answer with parts: `{type: "thinking", thinking: [{text}]}` and `{type: "text", text}`, those of
 * Databricks with `{type: "reasoning", summary: [{text, signature}]}`. Parts that are more than text (a `reference` between two
 * texts, files that a tool made, signatures) have no place in OpenAI's message, and go beside it as they came.
 */
function splitParts(message: WireObject, parts: unknown[]): void {
  const text: string[] = [];
  const thinking: string[] = [];
  const others: unknown[] = [];
  for (const given of parts) {
    const part = typeof given === 'string' ? { type: 'text', text: given } : asObject(given);
    if (part?.type === 'text') text.push(asText(part.text) ?? '');
    else if (part?.type === 'thinking') thinking.push(...thoughtsIn(part.thinking));
    else if (part?.type === 'reasoning') thinking.push(...thoughtsIn(part.summary));
    if (part && !isAllText(part)) others.push(part);
  }
  message.content = text.length > 0 ? text.join('') : null;
  if (thinking.length > 0) message.reasoning_content = thinking.join('');
  if (others.length > 0) {
    const fields = asObject(message.provider_specific_fields);
    message.provider_specific_fields = { ...fields, content_parts: others };
  }
}

/** Thoughts may contain references, too. */
function isAllText({ type, thinking }: WireObject): boolean {
  if (type === 'text') return true;
  return type === 'thinking' && asArray(thinking).every((piece) => asObject(piece)?.type === 'text');
}

function thoughtsIn(thinking: unknown): string[] {
  if (typeof thinking === 'string') return [thinking];
  return asArray(thinking).map((piece) => asText(asObject(piece)?.text) ?? '');
}

/** A whole tool call with everything that OpenAI's schema demands. */
export function normaliseToolCall(call: unknown): WireObject {
  const wire = asObject(call) ?? {};
  const called = asObject(wire.function);
  return {
    ...wire,
    id: asText(wire.id) ?? newToolCallId(),
    type: asText(wire.type) ?? 'function',
    ...(called ? { function: { ...called, arguments: argumentText(called.arguments) || '{}' } } : {}),
  };
}

/** Some servers send the arguments as an object, and not as JSON text. */
export function argumentText(value: unknown): string {
  if (typeof value === 'string') return value;
  return value === undefined || value === null ? '' : JSON.stringify(value);
}

/** In OpenAI's form, for servers that give none (Gemini's endpoint: `id: ""`). */
export function newToolCallId(): string {
  return `call_${randomBytes(12).toString('hex')}`;
}
