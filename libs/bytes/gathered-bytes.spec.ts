import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GatheredBytes } from './gathered-bytes.js';

describe('GatheredBytes', () => {
  it('gives what was added, whole and in order, and begins anew', () => {
    const bytes = new GatheredBytes();
    expect([bytes.length, bytes.take().length]).toEqual([0, 0]);
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 5 }), { maxLength: 50 }), (pieces) => {
        for (const piece of pieces) bytes.add(piece);
        const whole = Buffer.concat(pieces);
        expect(bytes.length).toBe(whole.length);
        expect(bytes.take().equals(whole)).toBe(true);
        expect(bytes.length).toBe(0);
      }),
    );
  });

  it('gives more pieces than it keeps', () => {
    const bytes = new GatheredBytes();
    const text = Array.from({ length: 5_000 }, (_, index) => `${index} `);
    for (const word of text) bytes.add(Buffer.from(word));
    expect(bytes.take().toString()).toBe(text.join(''));
  });

  it('gives a single piece as it is', () => {
    const bytes = new GatheredBytes();
    const piece = Buffer.from('one');
    bytes.add(piece);
    expect(bytes.take()).toBe(piece);
  });
});
