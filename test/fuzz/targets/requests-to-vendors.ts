import assert from 'node:assert/strict';
import { GatewayError, type ChatRequest, type ProviderCall } from '@app/contracts';
import fc from 'fast-check';
import { CHAT_EXAMPLES } from '../chat-examples.js';
import { expectCleanPrototypes, expectGatewayError } from '../expectations.js';
import type { FuzzTarget } from '../fuzz-target.js';
import { deepFreeze, mutated } from '../hostile-json.js';

/** What is sent and what was left out. `headers` are those made from the request. */
interface Translated {
  readonly body: unknown;
  readonly droppedParams: readonly string[];
  readonly headers?: Readonly<Record<string, string>>;
}

type Translate = (call: ProviderCall) => Translated;

function requestTarget(vendor: string, load: () => Promise<Translate>): FuzzTarget {
  return {
    name: `${vendor}-request`,
    promise: 'a request that the gateway took is translated or refused by name, and is never written to',
    shortRuns: 1_000,
    async property() {
      const translate = await load();
      const accept = await loadPipe();
      return fc.property(mutated(CHAT_EXAMPLES), fc.boolean(), (body, dropUnsupported) => {
        const request = accept(body);
        if (!request) return;
        try {
          const translated = translate(callOf(deepFreeze(request), dropUnsupported));
          expectSendable(translated, request, dropUnsupported);
        } catch (error) {
          expectGatewayError(error, [400, 404]);
        }
        expectCleanPrototypes();
      });
    },
  };
}

async function loadPipe(): Promise<(body: unknown) => ChatRequest | undefined> {
  const { toChatRequest } = await import('../../../src/completions/request/to-chat-request.js');
  return (body) => {
    // The reader of bodies refuses these before anybody else sees them.
    if (JSON.stringify(body).includes('"__proto__":')) return undefined;
    try {
      return toChatRequest(body);
    } catch (error) {
      if (error instanceof GatewayError) return undefined;
      throw error;
    }
  };
}

function callOf(request: ChatRequest, dropUnsupported: boolean): ProviderCall {
  return {
    request,
    upstreamModel: 'upstream-model',
    clientModel: request.model,
    maxOutputTokens: 128,
    requestId: 'request-1',
    signal: new AbortController().signal,
    dropUnsupported,
  };
}

function expectSendable(
  { body, droppedParams, headers = {} }: Translated,
  request: ChatRequest,
  drop: boolean,
): void {
  const sent: unknown = JSON.parse(JSON.stringify(body));
  assert.ok(typeof sent === 'object' && sent !== null);
  if (!drop) assert.deepEqual(droppedParams, []);
  for (const param of droppedParams) assert.equal(typeof param, 'string');
  for (const [name, value] of Object.entries(headers)) assert.match(value, /^[\x20-\x7e]*$/, name);
  const limits = JSON.stringify(sent).match(
    /"(max_tokens|max_completion_tokens|maxOutputTokens)":(-?[\d.e+]+)/g,
  );
  assert.ok(limits, `no output limit was sent for ${request.model}`);
  const text = JSON.stringify(sent);
  for (const said of textsOf(request))
    assert.ok(text.includes(JSON.stringify(said).slice(1, -1)), `not sent: ${JSON.stringify(said)}`);
}

/** What users and systems said: it has a place in every dialect. */
function textsOf({ messages }: ChatRequest): string[] {
  return messages
    .filter(({ role }) => role === 'user' || role === 'system' || role === 'developer')
    .flatMap(({ content }) =>
      typeof content === 'string'
        ? [content]
        : (content ?? []).flatMap((part) => (part.type === 'text' ? [String(part['text'])] : [])),
    )
    .filter((text) => text.trim() !== '');
}

export const OPENAI_REQUEST = requestTarget('openai', async () => {
  const { toWireRequest } =
    await import('../../../src/providers/openai-compatible/openai-compatible.request.js');
  const { compatibleDialect } =
    await import('../../../src/providers/openai-compatible/openai-compatible.dialect.js');
  const { OPENAI_DIALECT } = await import('../../../src/providers/openai/openai.dialect.js');
  const other = compatibleDialect('local');
  return (call) => {
    toWireRequest(call, other, false);
    return { body: toWireRequest(call, OPENAI_DIALECT, true), droppedParams: [] };
  };
});

export const ANTHROPIC_REQUEST = requestTarget('anthropic', async () => {
  const { toAnthropicRequest } = await import('../../../src/providers/anthropic/anthropic.request.js');
  return (call) => {
    const { body, droppedParams, betas } = toAnthropicRequest(call, true);
    return { body, droppedParams, headers: { 'anthropic-beta': betas.join(',') } };
  };
});

export const GOOGLE_REQUEST = requestTarget('google', async () => {
  const { toGeminiRequest } = await import('../../../src/providers/google/google.request.js');
  return (call) => toGeminiRequest(call);
});
