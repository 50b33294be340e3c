import type { ChatStreamEvent } from '@app/contracts';
import { describe, expect, it } from 'vitest';
import { translateResponse } from '../google/google.response.js';
import { GeminiStreamTranslator } from '../google/google.stream.js';
import { OPENAI_DIALECT } from '../openai/openai.dialect.js';
import { responseToCompletion } from '../openai/responses.response.js';
import { ResponsesStreamTranslator } from '../openai/responses.stream.js';
import { toChatCompletion } from '../openai-compatible/openai-compatible.response.js';
import { ChatStreamTranslator } from '../openai-compatible/openai-compatible.stream.js';

const MOST = 10_000;
const google = {
  clientModel: 'm',
  legacyFunctions: false,
  oneCall: false,
  citesSources: false,
  paysEverySearch: false,
  now: () => 0,
};
const openai = { clientModel: 'm', requestId: 'r', dialect: OPENAI_DIALECT, usageAsked: false };

const gemini = (parts: unknown[]) => ({ candidates: [{ content: { parts }, finishReason: 'STOP' }] });
const geminiCalls = (count: number) => gemini(Array(count).fill({ functionCall: { name: 'f' } }));
const geminiImages = (count: number) =>
  gemini(Array(count).fill({ inlineData: { mimeType: 'image/png', data: '' } }));
const call = { id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } };
const chat = (count: number) => ({
  choices: [{ message: { tool_calls: Array(count).fill(call) }, finish_reason: 'tool_calls' }],
});
const chunk = (count: number) => ({
  choices: [{ index: 0, delta: { content: Array(count).fill({ type: 'text', text: 'a' }) } }],
});
const response = (count: number) => ({
  status: 'completed',
  output: Array.from({ length: count }, (_, id) => ({ type: 'function_call', id, call_id: 'c', name: 'f' })),
});

function streamed(translator: { take(json: string, out: ChatStreamEvent[]): void }, body: unknown): void {
  translator.take(JSON.stringify(body), []);
}

describe('an answer with more parts than any model gives', () => {
  // one place is the choice's, or the candidate's
  it.each([
    ['Gemini’s calls', MOST - 1, (count: number) => translateResponse(geminiCalls(count), google)],
    ['Gemini’s images', MOST - 1, (count: number) => translateResponse(geminiImages(count), google)],
    [
      'Gemini’s calls, streamed',
      MOST - 1,
      (count: number) => new GeminiStreamTranslator(google).take(JSON.stringify(geminiCalls(count))),
    ],
    ['calls', MOST - 1, (count: number) => toChatCompletion(chat(count), openai)],
    [
      'parts, streamed',
      MOST - 1,
      (count: number) => streamed(new ChatStreamTranslator(openai), chunk(count)),
    ],
    ['items', MOST, (count: number) => responseToCompletion(response(count), openai)],
    [
      'items, streamed',
      MOST,
      (count: number) =>
        streamed(new ResponsesStreamTranslator(openai), {
          type: 'response.completed',
          response: response(count),
        }),
    ],
  ])('is none: %s', (_what, most, translate) => {
    expect(() => translate(most)).not.toThrow();
    expect(() => translate(most + 1)).toThrow(
      expect.objectContaining({
        code: 'provider_bad_response',
        message: expect.stringContaining('more parts than any model produces') as string,
      }),
    );
  });
});
