import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseAnswerJson, parseEventJson } from './json-structure.js';

describe('parseAnswerJson', () => {
  it('reads what JSON.parse reads', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = JSON.stringify({ value, padding: '[{"'.repeat(50_000) });
        expect(parseAnswerJson(text)).toEqual(JSON.parse(text));
      }),
      { numRuns: 50 },
    );
  });

  it('takes the probabilities of a long answer’s tokens', () => {
    const token = { token: 'a', logprob: -1, bytes: [97, 98, 99] };
    const content = Array(8_000).fill({ ...token, top_logprobs: Array(20).fill(token) });
    expect(parseAnswerJson(JSON.stringify({ content }))).toEqual({ content });
  });

  it.each([
    ['names', `{${Array.from({ length: 30_000 }, (_, at) => `"name_${at}":1`).join(',')}}`],
    ['deeply', '['.repeat(100_000) + ']'.repeat(100_000)],
    ['values', `[${'1,'.repeat(5_000_001)}1]`],
  ])('does not read what has too much: %s', (fault, text) => {
    expect(() => parseAnswerJson(text)).toThrow(
      expect.objectContaining({ name: 'RangeError', message: expect.stringContaining(fault) as string }),
    );
  });

  it('takes of an event the probabilities of two thousand tokens, and not the lists that only an answer may have', () => {
    const token = { token: 'a', logprob: -1, bytes: [97, 98, 99] };
    const content = Array(2_000).fill({ ...token, top_logprobs: Array(20).fill(token) });
    expect(parseEventJson(JSON.stringify({ content }))).toEqual({ content });
    const lists = `[${'[],'.repeat(500_001)}1]`;
    expect(parseAnswerJson(lists)).toHaveLength(500_002);
    expect(() => parseEventJson(lists)).toThrow('the answer has too many values');
  });

  it.each(['', '{', '{}{}', 'x'.repeat(200_000)])('throws at what is no JSON: %#', (text) => {
    expect(() => parseAnswerJson(text)).toThrow(SyntaxError);
  });
});
