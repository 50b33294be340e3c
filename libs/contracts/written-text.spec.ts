import { describe, expect, it } from 'vitest';
import { writtenText } from './written-text.js';

describe('writtenText', () => {
  it('is all that the model wrote, calls of custom tools and of functions included', () => {
    const message = {
      reasoning_content: 'a',
      content: 'b',
      refusal: 'c',
      audio: { id: 'x', data: 'AAAA', transcript: 'd' },
      tool_calls: [
        { id: 'x', type: 'function', function: { name: 'e', arguments: 'f' } },
        { id: 'y', type: 'custom', custom: { name: 'g', input: 'h' } },
      ],
      function_call: { name: 'i', arguments: 'j' },
    };
    expect(writtenText(message)).toBe('abcdefghij');
  });

  it.each([{}, { content: null, refusal: null, audio: null, function_call: null, tool_calls: null }])(
    'is nothing in %j',
    (message) => {
      expect(writtenText(message)).toBe('');
    },
  );

  it('passes over what is no text', () => {
    const message = {
      content: ['x'],
      audio: 1,
      tool_calls: [null, 'x', {}, { function: { arguments: {} } }],
    };
    expect(writtenText(message)).toBe('');
  });
});
