import { GatewayError } from '@app/contracts';
import { describe, expect, it } from 'vitest';
import { toChatRequest } from './to-chat-request.js';

const messages = [{ role: 'user', content: 'hi' }];

function paramOf(body: unknown): string | null {
  try {
    toChatRequest(body);
  } catch (error) {
    expect(error).toBeInstanceOf(GatewayError);
    return (error as GatewayError).param;
  }
  throw new Error('was accepted');
}

describe('toChatRequest', () => {
  it('keeps every field as it came, known or not', () => {
    const body = {
      model: 'm',
      messages,
      some_new_field: { a: [1] },
      temperature: null,
      prediction: { type: 'content' },
    };
    expect({ ...toChatRequest(structuredClone(body)) }).toEqual(body);
  });

  it.each([
    [{ messages }, 'model'],
    [{ model: 'm' }, 'messages'],
    [{ model: 'm', messages: [] }, 'messages'],
    [{ model: 'm', messages: [{ role: 'robot', content: '' }] }, 'messages[0].role'],
    [{ model: 'm', messages: [{ role: 'user' }] }, 'messages[0].content'],
    [
      { model: 'm', messages: [{ role: 'user', content: [{ type: 'text' }] }] },
      'messages[0].content[0].text',
    ],
    [
      {
        model: 'm',
        messages: [
          { role: 'user', content: [{ type: 'image_url', image_url: { url: 'file:///etc/passwd' } }] },
        ],
      },
      'messages[0].content[0].image_url.url',
    ],
    [
      {
        model: 'm',
        messages: [{ role: 'user', content: [{ type: 'image_url', image_url: 'https://a.example/b.png' }] }],
      },
      'messages[0].content[0].image_url',
    ],
    [{ model: 'm', messages: [{ role: 'tool', content: 'x' }] }, 'messages[0].tool_call_id'],
    [
      { model: 'm', messages: [{ role: 'assistant', tool_calls: [{ id: 'a' }] }] },
      'messages[0].tool_calls[0]',
    ],
    [{ model: 'm', messages: [{ ...messages[0], tool_calls: false }] }, 'messages[0].tool_calls'],
    [{ model: 'm', messages: [{ ...messages[0], function_call: {} }] }, 'messages[0].function_call'],
    [{ model: 'm', messages: [{ ...messages[0], reasoning_content: {} }] }, 'messages[0].reasoning_content'],
    [{ model: 'm', messages: [{ ...messages[0], refusal: 1 }] }, 'messages[0].refusal'],
    [
      { model: 'm', messages: [{ ...messages[0], provider_specific_fields: [1] }] },
      'messages[0].provider_specific_fields',
    ],
    [{ model: 'm', messages, max_tokens: 0 }, 'max_tokens'],
    [{ model: 'm', messages, max_completion_tokens: 1.5 }, 'max_completion_tokens'],
    [{ model: 'm', messages, temperature: '1' }, 'temperature'],
    [{ model: 'm', messages, temperature: 3 }, 'temperature'],
    [{ model: 'm', messages, n: 0 }, 'n'],
    [{ model: 'm', messages, stop: [1] }, 'stop'],
    [{ model: 'm', messages, stream: 'yes' }, 'stream'],
    [{ model: 'm', messages, tools: [{ type: 'function', function: {} }] }, 'tools[0].function.name'],
    [{ model: 'm', messages, tools: [{ type: {} }] }, 'tools[0].type'],
    [{ model: 'm', messages, tool_choice: 'maybe' }, 'tool_choice'],
  ])('refuses %j at %s', (body, param) => {
    expect(paramOf(body)).toBe(param);
  });

  const manyNames = (length: number, from = 0) =>
    `{${Array.from({ length }, (_, at) => `"name_${from + at}":1`).join(',')}}`;
  const calls = (...texts: string[]) =>
    texts.map((text) => ({ id: 'a', function: { name: 'f', arguments: text } }));

  it.each<[string, object, string]>([
    ['deep ones', { tool_calls: calls('['.repeat(300_000)) }, 'messages[0].tool_calls[0]'],
    ['ones with many names', { tool_calls: calls(manyNames(50_000)) }, 'messages[0].tool_calls[0]'],
    [
      'many with some names each',
      { tool_calls: calls(...Array.from({ length: 20 }, (_, at) => manyNames(3_000, at * 3_000))) },
      'messages[0].tool_calls[8]',
    ],
    [
      'ones of the older dialect',
      { function_call: { name: 'f', arguments: manyNames(50_000) } },
      'messages[0].function_call',
    ],
  ])('refuses arguments that would take everybody’s time to parse: %s', (_what, more, param) => {
    expect(paramOf({ model: 'm', messages: [{ role: 'assistant', content: null, ...more }] })).toBe(param);
  });

  it('refuses a flood of tools', () => {
    const tool = { type: 'function', function: { name: 'f' } };
    const flood = Array(100_000).fill(tool);
    expect(paramOf({ model: 'm', messages, tools: flood })).toBe('tools');
    expect(paramOf({ model: 'm', messages, functions: flood.map(() => tool.function) })).toBe('functions');
    expect(() => toChatRequest({ model: 'm', messages, tools: flood.slice(0, 5_000) })).not.toThrow();
  });

  it('accepts an assistant turn of tool calls alone, a tool that answers nothing, and null for not set', () => {
    const body = {
      model: 'm',
      messages: [
        {
          role: 'assistant',
          content: null,
          tool_calls: [{ id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } }],
        },
        { role: 'tool', tool_call_id: 'a', content: 'x' },
        { role: 'tool', tool_call_id: 'b' },
        { role: 'tool', tool_call_id: 'c', content: null },
      ],
      max_tokens: null,
      stop: null,
      tools: null,
    };
    expect(() => toChatRequest(body)).not.toThrow();
  });

  it.each([null, 1, {}, { prototype: {} }, { name: 'ChatCompletionRequestDto' }])(
    'is not told by the body which rules it is checked by: constructor %j',
    (constructor) => {
      const body = { model: 5, messages: 'none', constructor };
      expect(() => toChatRequest(body)).toThrowError(expect.objectContaining({ code: 'invalid_body' }));
    },
  );
});
