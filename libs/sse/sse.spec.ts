import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { heapBytes } from '../../test/support/heap-bytes.js';
import { SseDecoder, type SseEvent, SseTooLargeError } from './index.js';

const bytes = (text: string) => new TextEncoder().encode(text);

function decode(text: string, maxEventBytes?: number): SseEvent[] {
  return decodePieces([bytes(text)], maxEventBytes);
}

function decodePieces(pieces: Uint8Array[], maxEventBytes?: number): SseEvent[] {
  const decoder = new SseDecoder(maxEventBytes === undefined ? {} : { maxEventBytes });
  return [...pieces.flatMap((piece) => decoder.push(piece)), ...decoder.end()];
}

function split(all: Uint8Array, cuts: number[]): Uint8Array[] {
  const points = [...cuts.map((cut) => cut % (all.length + 1)), 0, all.length].sort((a, b) => a - b);
  return points.slice(1).map((point, index) => all.slice(points[index], point));
}

describe('SseDecoder', () => {
  it('reads the usual form', () => {
    expect(decode('data: {"a":1}\n\ndata: [DONE]\n\n')).toEqual([{ data: '{"a":1}' }, { data: '[DONE]' }]);
  });

  it('reads event names, and forgets them at the next event', () => {
    expect(decode('event: ping\ndata: {}\n\ndata: 2\n\n')).toEqual([
      { event: 'ping', data: '{}' },
      { data: '2' },
    ]);
  });

  it.each(['\n', '\r\n', '\r'])('takes %j as line end', (end) => {
    expect(decode(['event: a', 'data: 1', '', 'data: 2', '', ''].join(end))).toEqual([
      { event: 'a', data: '1' },
      { data: '2' },
    ]);
  });

  it('joins data lines, takes one space away, and reads a bare field name as empty', () => {
    expect(decode('data:  a\ndata:b\ndata\n\n')).toEqual([{ data: ' a\nb\n' }]);
  });

  it('skips comments, ids, other fields, events without data, and a byte order mark', () => {
    const text = '\uFEFFdata: 1\n\n: hello\n\nid: 7\nretry: 10\ndatabase: x\n\nevent: none\n\ndata: 2\n\n';
    expect(decode(text)).toEqual([{ data: '1' }, { data: '2' }]);
  });

  it('shows lines that are no fields to whoever wants them, and the unfinished last one', () => {
    const lines: string[] = [];
    const decoder = new SseDecoder();
    const sink = { event: () => undefined, otherLine: (line: string) => void lines.push(line) };
    decoder.read(bytes('data: 1\nerror: {}\nevent: x\n: comment\n\n{"a":'), sink);
    decoder.close(sink);
    expect(lines).toEqual(['error: {}', '{"a":']);
  });

  it('gives what such a line is taken for, behind the event that it breaks off', () => {
    const events: SseEvent[] = [];
    const sink = {
      event: (event: SseEvent) => void events.push(event),
      otherLine: (line: string) => (line.startsWith('{') ? { data: line } : undefined),
    };
    new SseDecoder().read(bytes('event: a\ndata: 1\nid: 7\ndata: 2\n{}\n\n{"b":1}\ndata: 3\n\n'), sink);
    expect(events).toEqual([
      { event: 'a', data: '1\n2' },
      { data: '{}' },
      { data: '{"b":1}' },
      { data: '3' },
    ]);
  });

  it('gives the last event when only its blank line is missing', () => {
    expect(decode('data: 1\n\ndata: 2')).toEqual([{ data: '1' }, { data: '2' }]);
    expect(decode('data: 1\n\ndata: 2\n')).toEqual([{ data: '1' }, { data: '2' }]);
  });

  it('ends a line at a CR without waiting for more', () => {
    const decoder = new SseDecoder();
    expect(decoder.push(bytes('data: 1\r\r'))).toEqual([{ data: '1' }]);
    expect(decoder.push(bytes('\ndata: 2\r\n\r'))).toEqual([{ data: '2' }]);
  });

  it('gives the same events however the bytes are cut', () => {
    const line = fc.oneof(
      fc.string({ unit: 'grapheme', maxLength: 20 }).map((text) => `data: ${text}`),
      fc.constantFrom('', 'event: x', 'event:', ': comment', 'data', 'data:', 'id: 1', 'é€😀'),
    );
    const end = fc.constantFrom('\n', '\r\n', '\r');
    const stream = fc
      .array(fc.tuple(line, end), { maxLength: 30 })
      .map((lines) => bytes(lines.flat().join('')));
    fc.assert(
      fc.property(stream, fc.array(fc.nat(), { maxLength: 40 }), fc.boolean(), (all, cuts, marked) => {
        const input = marked ? new Uint8Array([0xef, 0xbb, 0xbf, ...all]) : all;
        expect(decodePieces(split(input, cuts))).toEqual(decodePieces([input]));
      }),
      { numRuns: 500 },
    );
  });

  it('gives the same events for bytes that are not UTF-8, too', () => {
    const part = fc.oneof(
      fc.uint8Array({ maxLength: 6, min: 0x7f }),
      fc.constantFrom(bytes('data: '), bytes('\n\n')),
    );
    fc.assert(
      fc.property(fc.array(part), fc.array(fc.nat(), { maxLength: 20 }), (parts, cuts) => {
        const all = new Uint8Array(parts.flatMap((bits) => [...bits]));
        expect(decodePieces(split(all, cuts))).toEqual(decodePieces([all]));
      }),
      { numRuns: 500 },
    );
  });

  it('keeps little more than the bytes of a line that comes byte by byte', () => {
    const decoder = new SseDecoder();
    const piece = bytes('x');
    const before = heapBytes();
    for (let sent = 0; sent < 1_000_000; sent += 1) decoder.push(piece);
    expect(heapBytes() - before).toBeLessThan(4 * 2 ** 20);
    expect(decoder.end()).toEqual([]);
  });

  it('refuses an event over the limit, in one piece, in many, and by many lines', () => {
    const long = `data: ${'é'.repeat(60)}`;
    const limit = bytes(long).length;
    expect(decode(`${long}\n\n${long}\n\n`, limit)).toHaveLength(2);
    expect(() => decode(`${long}\n\n`, limit - 1)).toThrow(SseTooLargeError);
    expect(() => decodePieces(split(bytes(long), [10, 20, 30]), limit - 1)).toThrow(SseTooLargeError);
    expect(() => decode('data: 123456789\n'.repeat(10), 100)).toThrow(SseTooLargeError);
    expect(() => decode(': 123456789\n'.repeat(10), 100)).toThrow(SseTooLargeError);
  });
});
