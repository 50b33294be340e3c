import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toAnnotations } from './google.annotations.js';

const groundingChunks = [{ web: { uri: 'https://a.example', title: 'A' } }];

function places(content: string, segments: readonly object[]): number[][] {
  const groundingSupports = segments.map((segment) => ({ segment, groundingChunkIndices: [0] }));
  return toAnnotations({ groundingChunks, groundingSupports }, content).map(
    ({ url_citation: { start_index, end_index } }) => [start_index, end_index],
  );
}

describe('places of citations', () => {
  it('are characters, wherever the bytes lie, in a character or behind the text, too', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', minLength: 1 }),
        fc.array(fc.tuple(fc.nat(80), fc.nat(80))),
        (text, offsets) => {
          const bytes = Buffer.from(`${text}é`, 'utf8');
          const characters = (offset: number) => [...bytes.toString('utf8', 0, offset)].length;
          const segments = offsets.map(([startIndex, endIndex]) => ({ startIndex, endIndex }));
          expect(places(`${text}é`, segments)).toEqual(offsets.map((pair) => pair.map(characters)));
        },
      ),
    );
  });

  it('in a later part are those of its words, also behind some words that stand nowhere', () => {
    const absent = { partIndex: 1, startIndex: 0, endIndex: 1, text: 'nowhere' };
    const there = { partIndex: 1, startIndex: 0, endIndex: 3, text: 'two' };
    expect(places('one two', [absent, there])).toEqual([
      [0, 1],
      [4, 7],
    ]);
    const many = Array.from({ length: 1_000 }, () => absent);
    expect(places('one two', [...many, there]).at(-1)).toEqual([0, 3]);
  });
});
