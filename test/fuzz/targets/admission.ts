import assert from 'node:assert/strict';
import { type ChatMessage, type ChatRequest, GatewayError } from '@app/contracts';
import fc from 'fast-check';
import { CHAT_EXAMPLES } from '../chat-examples.js';
import { expectCleanPrototypes, expectGatewayError } from '../expectations.js';
import type { FuzzTarget } from '../fuzz-target.js';
import { deepFreeze, mutated } from '../hostile-json.js';
import { VENDOR_FAULTS } from './answers-of-vendors.js';

/** Everything between the controller and a provider, and the provider that is always there. */
export const ADMISSION: FuzzTarget = {
  name: 'admission',
  promise: 'a request that was taken can be bounded, counted, fingerprinted and echoed, whatever is in it',
  shortRuns: 600,
  async property() {
    const { toChatRequest } = await import('../../../src/completions/request/to-chat-request.js');
    const { boundInput, totalTokens } = await import('../../../src/billing/quote/input-bound.js');
    const { serverToolUse } = await import('../../../src/billing/quote/server-tools.js');
    const { countText } = await import('../../../src/billing/quote/count-text.js');
    const { fingerprintOf } = await import('../../../src/billing/idempotency/fingerprint.js');
    const { ownUsage } = await import('../../../src/completions/stream/own-usage.js');
    const { requestNeeds } = await import('../../../src/routing/request-needs.js');
    const { EchoStrategy } = await import('../../../src/providers/echo/echo.strategy.js');
    const echo = new EchoStrategy(0);
    return fc.asyncProperty(
      mutated(CHAT_EXAMPLES),
      fc.constantFrom('echo', 'echo-tools'),
      async (body, model) => {
        const request = accept(toChatRequest, body);
        if (!request) return;
        deepFreeze(request);
        const parts = boundInput(request, 'gpt-4o', 128_000);
        const bound = totalTokens(parts, 128_000);
        assert.ok(Number.isSafeInteger(bound) && bound >= 0, `a bound: ${bound}`);
        for (const message of request.messages) {
          // By itself, and without what is more bytes than text: else that would stand for what was forgotten.
          const alone = { ...message, provider_specific_fields: undefined };
          const { textBytes } = boundInput({ ...request, messages: [alone], tools: [] }, 'gpt-4o', 128_000);
          assert.ok(textBytes >= textBytesOf(message), 'all text is bounded');
        }
        for (const calls of Object.values(serverToolUse(request).calls))
          assert.ok(Number.isSafeInteger(calls));
        assert.ok(requestNeeds(request).every((need) => typeof need === 'string'));
        assert.match(fingerprintOf('POST /v1/chat/completions', request), /^[0-9a-f]{64}$/);
        const counted = (await countText(request, 'gpt-4o')) ?? 0;
        assert.ok(Number.isSafeInteger(counted) && counted <= JSON.stringify(request).length * 3);
        assert.ok((await ownUsage(request, 'x', undefined)).inputTokens > 0);
        await expectEcho(echo, request, model);
        expectCleanPrototypes();
      },
    );
  },
};

function accept(toChatRequest: (body: unknown) => ChatRequest, body: unknown): ChatRequest | undefined {
  if (JSON.stringify(body).includes('"__proto__":')) return undefined;
  try {
    return toChatRequest(body);
  } catch (error) {
    if (error instanceof GatewayError) return undefined;
    throw error;
  }
}

/** What every vendor counts as text, and no more: looked for without the code that bounds it. */
function textBytesOf({ content, tool_calls: calls, function_call: call }: ChatMessage): number {
  const texts = [
    ...(typeof content === 'string' ? [content] : (content ?? []).map((part) => part['text'])),
    ...[...(calls ?? []).map((one) => one.function), call].flatMap((one) => [one?.name, one?.arguments]),
  ];
  return texts.reduce<number>(
    (sum, text) => sum + (typeof text === 'string' ? Buffer.byteLength(text) : 0),
    0,
  );
}

async function expectEcho(
  echo: import('@app/contracts').ProviderStrategy,
  request: ChatRequest,
  upstreamModel: string,
): Promise<void> {
  const call = {
    request,
    upstreamModel,
    clientModel: request.model,
    maxOutputTokens: 32,
    requestId: 'request-1',
    signal: new AbortController().signal,
    dropUnsupported: true,
  };
  try {
    const { completion, usage } = await echo.complete(call);
    assert.ok(JSON.stringify(completion).length > 0 && usage && usage.inputTokens > 0);
    for await (const { json } of (await echo.stream(call)).events) JSON.parse(json);
  } catch (error) {
    expectGatewayError(error, VENDOR_FAULTS);
  }
}
