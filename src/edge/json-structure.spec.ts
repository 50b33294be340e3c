import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { structureFault, MAX_JSON_DEPTH, MAX_JSON_VALUES } from './json-structure.js';

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

  it.each(['', '"', '"\\', '"\\"', '\\"[', ']]]]', '}{', '"a"b"c'])('has no opinion about %j', (text) => {
    expect(structureFault(text)).toBeUndefined();
  });
});
