import { describe, expect, it } from 'vitest';
import { ExactJsonParser, losesDigits } from './exact-json.js';

describe('ExactJsonParser', () => {
  const parseExactly = (json: string) => new ExactJsonParser().parse(json);

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

  it('never holds everybody up for what no call has', () => {
    const parser = new ExactJsonParser();
    const long = `{"ids":[${'1,'.repeat(10_000)}1234567890123456789]}`;
    const lost = Array.from({ length: 50 }, () => JSON.stringify(parser.parse(long)) !== long);
    expect(lost.filter((isLost) => !isLost).length).toBeLessThan(10);
    expect(lost[0]).toBe(false);
  });
});
