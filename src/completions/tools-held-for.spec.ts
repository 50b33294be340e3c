import type { ChatRequest } from '@app/contracts';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { serverToolUse } from '../billing/quote/server-tools.js';
import { toResponsesRequest } from '../providers/openai/responses.request.js';

const type = fc.constantFrom(
  'function',
  'custom',
  'image_generation',
  'web_search',
  'code_interpreter',
  'shell',
  'mcp',
);
const inner = fc.record({ name: fc.constant('f'), type }, { requiredKeys: [] });
const tool = fc.record({ type, function: inner, custom: inner }, { requiredKeys: [] });

it('OpenAI is asked for the tools that are held for, whatever type stands inside one', () => {
  fc.assert(
    fc.property(fc.array(tool, { minLength: 1 }), (tools) => {
      const request = { model: 'm', messages: [], tools } as unknown as ChatRequest;
      const { body } = toResponsesRequest(
        {
          request,
          upstreamModel: 'gpt-5',
          clientModel: 'm',
          maxOutputTokens: undefined,
          requestId: 'r',
          signal: new AbortController().signal,
          dropUnsupported: false,
        },
        false,
      );
      expect(serverToolUse({ ...request, tools: body.tools as ChatRequest['tools'] })).toEqual(
        serverToolUse(request),
      );
    }),
  );
});
