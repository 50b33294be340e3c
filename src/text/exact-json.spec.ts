import { describe, expect, it } from 'vitest';
import { losesDigits, parseExactly } from './exact-json.js';

describe('parseExactly', () => {
  it.each([
    '{"id":1234567890123456789,"ids":[-98765432109876543210,9007199254740993]}',
    '[-1234567890123456789]',
    '{"id":9007199254740991,"x":0.1,"text":"1234567890123456789","deep":{"id":[9007199254740993]}}',
  ])('gives what is written as it was read: %s', (json) => {
    expect(JSON.stringify(parseExactly(json))).toBe(json);
    expect(losesDigits(json)).toBe(true);
  });

  it('leaves every number that a double holds a number', () => {
    const json = '{"a": 9007199254740991, "b": 1e20, "c": 0.1234567890123456789, "d": 1}';
    expect(parseExactly(json)).toEqual(JSON.parse(json));
    expect(losesDigits('{"c":0.1234567890123456789}')).toBe(false);
    expect(losesDigits('{"c": 1234567890123456789}')).toBe(true);
  });

  it('cuts the numbers of a long text: its many values would hold everybody up', () => {
    const long = `[${'1.5,'.repeat(40_000)}1234567890123456789]`;
    expect((parseExactly(long) as unknown[]).at(-1)).toBe(Number('1234567890123456789'));
    expect(typeof (parseExactly(long.slice(0, 401) + '1234567890123456789]') as unknown[]).at(-1)).toBe(
      'object',
    );
  });

  it('refuses what is no JSON', () => {
    expect(() => parseExactly('{"id":1234567890123456789')).toThrow(SyntaxError);
  });
});
