import assert from 'node:assert/strict';
import { GatewayError, type Usage } from '@app/contracts';

/** An error that the client may see. Anything else that is thrown is a crash, and would be a 500. */
export function expectGatewayError(error: unknown, statuses: readonly number[]): GatewayError {
  if (!(error instanceof GatewayError) || isSlip(error.cause)) throw error;
  assert.ok(statuses.includes(error.status), `${error.code} (${error.status}): ${error.message}`);
  const envelope = JSON.parse(JSON.stringify(error.toEnvelope())) as { error: Record<string, unknown> };
  assert.deepEqual(Object.keys(envelope.error).sort(), ['code', 'message', 'param', 'type']);
  assert.equal(typeof envelope.error.message, 'string');
  expectHeaders(error.headers);
  return error;
}

/** A mistake of the program that somebody caught and gave a good name. */
function isSlip(cause: unknown): boolean {
  // TextDecoder's verdict on bytes that are no text, which happens to be a TypeError.
  if (Reflect.get(Object(cause), 'code') === 'ERR_ENCODING_INVALID_ENCODED_DATA') return false;
  // The same of jsonwebtoken on a signature that has not the length of its kind.
  if (cause instanceof TypeError && cause.message.startsWith('"ES256" signatures must be "64" bytes'))
    return false;
  return cause instanceof TypeError || cause instanceof RangeError || cause instanceof ReferenceError;
}

/** What becomes a header is one line of visible Latin-1: Node would throw otherwise, after the money was spent. */
export function expectHeaders(headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) {
    assert.match(name, /^[\w-]+$/, `header name ${JSON.stringify(name)}`);
    assert.match(value, /^[\t\x20-\x7e\x80-\xff]*$/, `header ${name}: ${JSON.stringify(value)}`);
    assert.ok(value.length <= 8_192, `header ${name} has ${value.length} characters`);
  }
}

const PARTS = {
  cacheReadInputTokens: 'inputTokens',
  cacheCreationInputTokens: 'inputTokens',
  cacheCreation1hInputTokens: 'cacheCreationInputTokens',
  audioInputTokens: 'inputTokens',
  imageInputTokens: 'inputTokens',
  reasoningOutputTokens: 'outputTokens',
  audioOutputTokens: 'outputTokens',
  imageOutputTokens: 'outputTokens',
} as const satisfies Partial<Record<keyof Usage, keyof Usage>>;

/** A count that money is made of: whole, not negative, exact as a number, and no part larger than its whole. */
export function expectUsage(usage: Usage | undefined): void {
  if (!usage) return;
  for (const [name, value] of Object.entries({ ...usage, serverToolCalls: undefined })) {
    if (value === undefined) continue;
    assert.ok(Number.isSafeInteger(value) && Number(value) >= 0, `${name}: ${String(value)}`);
  }
  for (const [part, whole] of Object.entries(PARTS) as [keyof typeof PARTS, keyof Usage][]) {
    assert.ok(Number(usage[part] ?? 0) <= Number(usage[whole] ?? 0), `${part} > ${whole}`);
  }
  for (const calls of Object.values(usage.serverToolCalls ?? {})) {
    assert.ok(Number.isSafeInteger(calls) && calls >= 0, `a tool's calls: ${calls}`);
  }
}

/** Nothing that was parsed has reached the prototype that every object has. */
export function expectCleanPrototypes(): void {
  assert.equal(Object.keys(Object.prototype).length, 0, `Object.prototype has grown`);
  assert.equal(Reflect.get({}, 'polluted'), undefined);
  assert.equal(Object.keys(Array.prototype).length, 0, `Array.prototype has grown`);
}
