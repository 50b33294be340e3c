import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ownText } from './own-text.js';

describe('ownText', () => {
  it('is the same text, however long, halves of characters included', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), fc.nat(40), (text, times) => {
        expect(ownText(text.repeat(times))).toBe(text.repeat(times));
        expect(ownText(text.slice(1))).toBe(text.slice(1));
      }),
    );
    for (const text of ['', 'a', 'é'.repeat(20_000), '\ud83d', '😀'.repeat(9_000), '\ufeffmark']) {
      expect(ownText(text)).toBe(text);
    }
  });
});
