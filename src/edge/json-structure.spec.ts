import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JsonStructure } from '@app/contracts';
import {
  MAX_JSON_DEPTH,
  MAX_JSON_NAMES,
  MAX_JSON_VALUES,
  REQUEST_BOUNDS,
  structureFault,
} from './json-structure.js';

const nested = (depth: number, open = '[', close = ']') => open.repeat(depth) + close.repeat(depth);

describe('structureFault', () => {
  it('lets any JSON pass that is neither deep nor much, whatever stands in its texts', () => {
    const text = fc.string({
      unit: fc.constantFrom('[', ']', '{', '}', ',', '"', '\\', 'a', '漢'),
      maxLength: 300,
    });
    fc.assert(
      fc.property(fc.array(fc.dictionary(text, fc.array(text))), (value) => {
        const given = [value, '['.repeat(1000), '\\'.repeat(101), ','.repeat(1000)];
        expect(structureFault(JSON.stringify(given))).toBeUndefined();
      }),
    );
  });

  it.each([
    ['lists', '[', ']'],
    ['objects', '{"a":', '}'],
    ['lists after a text', '["\\\\",', ']'],
    ['lists after a text with brackets', '["]}]}\\"]",', ']'],
  ])('counts levels of %s', (_what, open, close) => {
    expect(structureFault(nested(MAX_JSON_DEPTH, open, close))).toBeUndefined();
    expect(structureFault(nested(MAX_JSON_DEPTH + 1, open, close))?.message).toContain('nested deeper');
  });

  it('counts values', () => {
    expect(structureFault(`[${'{},'.repeat(MAX_JSON_VALUES - 1)}{}]`)).toBeUndefined();
    expect(structureFault(`[${'{},'.repeat(MAX_JSON_VALUES + 1)}{}]`)?.message).toContain('values');
  });

  it('counts lists in lists, which need no commas', () => {
    const deep = nested(MAX_JSON_DEPTH - 2);
    const times = Math.ceil(MAX_JSON_VALUES / (MAX_JSON_DEPTH - 2));
    expect(structureFault(`[${`${deep},`.repeat(times - 2)}0]`)).toBeUndefined();
    expect(structureFault(`[${`${deep},`.repeat(times + 1)}0]`)?.message).toContain('values');
  });

  it.each([
    ['one object', (names: string[]) => `{${names.map((name) => `"${name}":1`).join(',')}}`],
    ['an object each', (names: string[]) => `[${names.map((name) => `{"${name}"\t\n :{}}`).join(',')}]`],
  ])('counts the names in %s', (_what, write) => {
    const names = (count: number) => Array.from({ length: count }, (_, at) => `${at}_name`);
    expect(structureFault(write(names(MAX_JSON_NAMES)))).toBeUndefined();
    expect(structureFault(write(names(MAX_JSON_NAMES * 1.05)))?.message).toContain('different keys');
  });

  it('counts a name once, and texts not at all', () => {
    const messages = Array.from({ length: MAX_JSON_NAMES * 2 }, (_, at) => ({
      role: `r${at}`,
      content: `:${at}`,
    }));
    expect(structureFault(JSON.stringify(messages))).toBeUndefined();
  });

  it('counts over several texts, each of its own depth', () => {
    const structure = new JsonStructure(REQUEST_BOUNDS);
    const names = (from: number) =>
      `{${Array.from({ length: MAX_JSON_NAMES / 4 }, (_, at) => `"${from + at}":[]`).join(',')}}`;
    for (let at = 0; at < 4; at++) {
      expect(structure.faultOf(names((at * MAX_JSON_NAMES) / 4))).toBeUndefined();
      expect(structure.faultOf('['.repeat(40))).toBeUndefined();
    }
    expect(structure.faultOf(names(MAX_JSON_NAMES))).toBe('names');
  });

  it.each(['', '"', '"\\', '"\\"', '\\"[', ']]]]', '}{', '"a"b"c'])('has no opinion about %j', (text) => {
    expect(structureFault(text)).toBeUndefined();
  });
});
