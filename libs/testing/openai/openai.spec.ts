import type { ChatChunk } from '@app/contracts';
import { describe, expect, it } from 'vitest';
import { expectChatChunk, expectChatCompletion, expectErrorEnvelope } from './expect-openai.js';
import { foldChunks } from './fold-chunks.js';
import { readSse } from './read-sse.js';

const COMPLETION = {
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1,
  model: 'gpt-4',
  choices: [{ index: 0, message: { role: 'assistant', content: 'hi' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
};

function chunk(delta: Record<string, unknown>, more: Record<string, unknown> = {}): ChatChunk {
  const choices = [{ index: 0, delta, finish_reason: null, ...more }];
  return { id: 'c', object: 'chat.completion.chunk', created: 1, model: 'm', choices };
}

function sse(text: string): Response {
  return new Response(text, { headers: { 'content-type': 'text/event-stream' } });
}

describe('the schemas', () => {
  it('let a completion through', () => {
    expect(expectChatCompletion(COMPLETION)).toBe(COMPLETION);
  });

  it.each([
    ['no id', { ...COMPLETION, id: undefined }],
    ['an empty model', { ...COMPLETION, model: '' }],
    ['a chunk', { ...COMPLETION, object: 'chat.completion.chunk' }],
    ['no choices', { ...COMPLETION, choices: [] }],
    [
      'a vendor finish reason',
      { ...COMPLETION, choices: [{ ...COMPLETION.choices[0], finish_reason: 'end_turn' }] },
    ],
    ['no message', { ...COMPLETION, choices: [{ index: 0, finish_reason: 'stop' }] }],
    ['fractions of tokens', { ...COMPLETION, usage: { ...COMPLETION.usage, prompt_tokens: 0.5 } }],
    ['a null usage', { ...COMPLETION, usage: null }],
  ])('refuse a completion with %s', (_what, value) => {
    expect(() => expectChatCompletion(value)).toThrow('not a chat completion');
  });

  it('refuse arguments that are no text', () => {
    const tool_calls = [{ id: 'call_1', type: 'function', function: { name: 'f', arguments: { a: 1 } } }];
    const choices = [
      { index: 0, message: { role: 'assistant', content: null, tool_calls }, finish_reason: 'tool_calls' },
    ];
    expect(() => expectChatCompletion({ ...COMPLETION, choices })).toThrow('arguments must be string');
  });

  it('refuse a chunk without a delta, and an error without a code', () => {
    expect(() => expectChatChunk({ ...chunk({}), choices: [{ index: 0, finish_reason: null }] })).toThrow(
      'delta',
    );
    expect(() => expectErrorEnvelope({ error: { message: 'x', type: 'y', param: null } })).toThrow('code');
  });
});

describe('foldChunks', () => {
  it('joins text, tool arguments, lists and the last usage', () => {
    const call = (index: number, rest: object): Record<string, unknown> => ({
      tool_calls: [{ index, ...rest }],
    });
    const folded = foldChunks([
      chunk({ role: 'assistant', content: 'Hel', provider_specific_fields: { blocks: [{ a: 1 }] } }),
      chunk({ content: 'lo', reasoning_content: 'hm' }),
      chunk(call(0, { id: 'x', type: 'function', function: { name: 'f', arguments: '' } })),
      chunk(call(1, { id: 'y', type: 'function', function: { name: 'g', arguments: '{}' } })),
      chunk(call(0, { function: { arguments: '{"a"' } })),
      chunk(call(0, { function: { arguments: ':1}' } })),
      chunk({ provider_specific_fields: { blocks: [{ b: 2 }] } }, { finish_reason: 'tool_calls' }),
      { ...chunk({}), choices: [], usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 } },
    ]);
    expect(folded).toEqual({
      id: 'c',
      object: 'chat.completion',
      created: 1,
      model: 'm',
      choices: [
        {
          index: 0,
          finish_reason: 'tool_calls',
          message: {
            role: 'assistant',
            content: 'Hello',
            reasoning_content: 'hm',
            provider_specific_fields: { blocks: [{ a: 1 }, { b: 2 }] },
            tool_calls: [
              { id: 'x', type: 'function', function: { name: 'f', arguments: '{"a":1}' } },
              { id: 'y', type: 'function', function: { name: 'g', arguments: '{}' } },
            ],
          },
        },
      ],
      usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 },
    });
  });

  it('keeps choices apart and sorts them', () => {
    const second = {
      ...chunk({ content: 'b' }),
      choices: [{ index: 1, delta: { content: 'b' }, finish_reason: null }],
    };
    const folded = foldChunks([second, chunk({ content: 'a' })]);
    expect(folded.choices.map((choice) => choice.message.content)).toEqual(['a', 'b']);
  });
});

describe('readSse', () => {
  const data = `data: ${JSON.stringify(chunk({ content: 'a' }))}\n\n`;

  it('reads chunks, heartbeats and the end', async () => {
    const stream = await readSse(sse(`: heartbeat\n\n${data}data: [DONE]\n\n`));
    expect(stream).toMatchObject({ done: true, error: undefined, chunks: [{ id: 'c' }] });
  });

  it('gives an error event back, and misses the end', async () => {
    const stream = await readSse(sse(`${data}data: {"error":{"message":"x"}}\n\n`));
    expect(stream).toMatchObject({ done: false, error: { message: 'x' } });
  });

  it('refuses what follows [DONE], and half an event', async () => {
    await expect(readSse(sse(`data: [DONE]\n\n${data}`))).rejects.toThrow('after [DONE]');
    await expect(readSse(sse('data: {"a"'))).rejects.toThrow('inside an event');
  });
});
