import { randomBytes } from 'node:crypto';
import { asArray, asObject, asText, type WireObject } from './openai-compatible.wire.js';

/** What a message and a delta have in common: their text, and where servers hide reasoning. */
export function normaliseText(message: WireObject): void {
  if (Array.isArray(message.content)) splitParts(message, message.content);
  if (typeof message.reasoning === 'string') renameReasoning(message, message.reasoning);
}

/** OpenRouter, Groq, Ollama and newer vLLM call it `reasoning`; vLLM for a while by both names. */
function renameReasoning(message: WireObject, reasoning: string): void {
  delete message.reasoning;
  if (typeof message.reasoning_content !== 'string') message.reasoning_content = reasoning;
}

/** Mistral's reasoning models answer with parts: `{type: "thinking", thinking: [{text}]}` and `{type: "text", text}`. */
function splitParts(message: WireObject, parts: unknown[]): void {
  const ofType = (type: string) => parts.map(asObject).filter((part) => part?.type === type);
  const text = ofType('text').map((part) => asText(part?.text) ?? '');
  const thinking = ofType('thinking').flatMap((part) => thoughtsIn(part?.thinking));
  message.content = text.length > 0 ? text.join('') : null;
  if (thinking.length > 0) message.reasoning_content = thinking.join('');
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

/** Some servers send the arguments as an object instead of its JSON text. */
export function argumentText(value: unknown): string {
  if (typeof value === 'string') return value;
  return value === undefined || value === null ? '' : JSON.stringify(value);
}

/** In the form that clients know, for servers that give none (Gemini's compatible endpoint: `id: ""`). */
export function newToolCallId(): string {
  return `call_${randomBytes(12).toString('hex')}`;
}
