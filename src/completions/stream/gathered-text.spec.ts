import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { heapBytes } from '../../../test/support/heap-bytes.js';
import { GatheredText } from './gathered-text.js';

function gathered(pieces: readonly string[]): GatheredText {
  const text = new GatheredText();
  for (const piece of pieces) text.add(piece);
  return text;
}

describe('GatheredText', () => {
  it('is all its pieces, characters that were cut in two included', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary', maxLength: 300 }), { maxLength: 60 }), (pieces) => {
        expect(String(gathered(pieces))).toBe(pieces.join(''));
      }),
    );
    const halves = Array.from('😀'.repeat(5_000)).flatMap((face) => [face[0]!, face[1]!]);
    expect(String(gathered(halves))).toBe('😀'.repeat(5_000));
  });

  it.each([
    { chunkLength: 10_000, chunks: 2_000 },
    { chunkLength: 200_000, chunks: 100 },
  ])('does not keep alive the chunks that its pieces were cut from: $chunks of $chunkLength', (sizes) => {
    const { chunkLength, chunks } = sizes;
    const text = new GatheredText();
    const before = heapBytes();
    for (let index = 0; index < chunks; index += 1) {
      const chunk = Buffer.alloc(chunkLength, 'a').toString('latin1');
      text.add(chunk.slice(index % 100, (index % 100) + 20));
    }
    // All of the chunks are 20 MB.
    expect(heapBytes() - before).toBeLessThan((chunkLength * chunks) / 4);
    expect(String(text)).toBe('a'.repeat(20 * chunks));
  });
});
