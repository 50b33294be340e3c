import { SseTooLargeError } from '@app/sse';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { heapBytes } from '../../../test/support/heap-bytes.js';
import { GeminiFrames } from './google.frames.js';

const encode = (text: string) => new TextEncoder().encode(text);

function framesOf(bytes: Uint8Array, cuts: readonly number[]): unknown[] {
  const points = [0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].toSorted((a, b) => a - b);
  const frames = new GeminiFrames();
  const texts: string[] = [];
  points.slice(1).forEach((end, at) => {
    frames.read(bytes.subarray(points[at], end), (json) => texts.push(json));
  });
  return [...texts, ...frames.end()].map((text): unknown => JSON.parse(text));
}

describe('GeminiFrames', () => {
  const chunks = fc.array(
    fc.dictionary(fc.string(), fc.jsonValue({ noUnicodeString: false }), { maxKeys: 4 }),
    {
      minLength: 1,
      maxLength: 6,
    },
  );
  const cuts = fc.array(fc.nat(), { maxLength: 30 });
  const spelling = fc.constantFrom(
    (list: object[]) => list.map((chunk) => `data: ${JSON.stringify(chunk)}\r\n\r\n`).join(''),
    (list: object[]) => list.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join(''),
    (list: object[]) => `[${list.map((chunk) => JSON.stringify(chunk, undefined, 1)).join('\n,\r\n')}\n]\n`,
    (list: object[]) => ` \n${JSON.stringify(list)}`,
  );

  it('finds the same chunks as server-sent events and as one array, wherever the bytes are cut', () => {
    fc.assert(
      fc.property(chunks, cuts, spelling, (list, points, spell) => {
        const expected: unknown = JSON.parse(JSON.stringify(list));
        expect(framesOf(encode(spell(list)), points)).toEqual(expected);
      }),
    );
  });

  it('takes a single object, and nothing for nothing', () => {
    expect(framesOf(encode('{"error":{"message":"}]\\"{"}}'), [3, 9])).toEqual([
      { error: { message: '}]"{' } },
    ]);
    expect(framesOf(encode(''), [])).toEqual([]);
    expect(framesOf(encode('[]'), [1])).toEqual([]);
  });

  it('gives nothing for an element that was cut off', () => {
    expect(framesOf(encode('[{"a":1},{"b":'), [])).toEqual([{ a: 1 }]);
  });

  it('refuses an element that has no end', () => {
    const frames = new GeminiFrames();
    const piece = encode(`[{"a":"${'x'.repeat(1024 * 1024)}`);
    expect(() => {
      for (let i = 0; i < 9; i += 1) frames.read(i === 0 ? piece : piece.fill(0x78), () => undefined);
    }).toThrow(SseTooLargeError);
  });

  it('takes no more memory for an element that comes in pieces of a byte each', () => {
    const frames = new GeminiFrames();
    const found: string[] = [];
    frames.read(encode('[{"a":"'), (json) => found.push(json));
    const before = heapBytes();
    for (let i = 0; i < 300_000; i += 1) frames.read(Buffer.from('x'), (json) => found.push(json));
    expect(heapBytes() - before).toBeLessThan(15 * 2 ** 20);
    frames.read(encode('"}'), (json) => found.push(json));
    expect(found).toEqual([`{"a":"${'x'.repeat(300_000)}"}`]);
  });
});
