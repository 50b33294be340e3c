import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseAnswerJson, parseEventJson } from './json-structure.js';

function probabilities(tokens: number): unknown[] {
  const token = { token: 'word', logprob: -1.2345678, bytes: [119, 111, 114, 100] };
  return Array(tokens).fill({ ...token, top_logprobs: Array(20).fill(token) });
}

/** For how long nobody else has a turn, ms; the shorter of two times. */
function hold(text: string): number {
  const times = [0, 1].map(() => {
    const startedMs = performance.now();
    try {
      parseAnswerJson(text);
    } catch {
      // refused
    }
    return performance.now() - startedMs;
  });
  return Math.min(...times);
}

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

  it('takes twenty probabilities for each token of a long answer', () => {
    const content = probabilities(16_384);
    expect(parseAnswerJson(JSON.stringify(content))).toHaveLength(16_384);
  });

  it('holds nobody up much longer than for those, whatever else comes', () => {
    const longest = hold(JSON.stringify({ content: probabilities(16_384) }));
    for (const item of ['{}', '[]', '{"a":1}', '{"a":{}}']) {
      expect(hold(`[${`${item},`.repeat(3_000_000)}1]`)).toBeLessThan(longest);
    }
    for (const [item, times] of [
      ['{"a":1,"b":1,"c":1,"d":1,"e":1}', 999_000],
      ['1.5', 4_900_000],
    ] as const) {
      expect(hold(`[${`${item},`.repeat(times)}1]`)).toBeLessThan(3 * longest);
    }
  });

  it.each([
    ['names', `{${Array.from({ length: 30_000 }, (_, at) => `"name_${at}":1`).join(',')}}`],
    ['deeply', '['.repeat(100_000) + ']'.repeat(100_000)],
    ['values', `[${'1,'.repeat(5_000_001)}1]`],
    ['lists and objects', `[${'{},'.repeat(1_000_001)}1]`],
  ])('does not read what has too much: %s', (fault, text) => {
    expect(() => parseAnswerJson(text)).toThrow(
      expect.objectContaining({ name: 'JsonBoundsError', message: expect.stringContaining(fault) as string }),
    );
  });

  it('takes of an event the probabilities of two thousand tokens, and not the lists that only an answer may have', () => {
    const content = probabilities(2_000);
    expect(parseEventJson(JSON.stringify({ content }))).toEqual({ content });
    const lists = `[${'[],'.repeat(200_001)}1]`;
    expect(parseAnswerJson(lists)).toHaveLength(200_002);
    expect(() => parseEventJson(lists)).toThrow('the answer has too many lists and objects');
    expect(() => parseEventJson(`[${'1,'.repeat(500_001)}1]`)).toThrow('the answer has too many values');
  });

  it.each(['', '{', '{}{}', 'x'.repeat(200_000)])('throws at what is no JSON: %#', (text) => {
    expect(() => parseAnswerJson(text)).toThrow(SyntaxError);
  });
});
