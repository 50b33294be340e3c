import { describe, expect, it } from 'vitest';
import { ChunkedBody } from './chunked-body.ts';
import { EventCounter } from './event-counter.ts';

const EVENTS = ['data: {"a":1}\n\n', 'data: {"b":"\\n"}\n\n', 'data: [DONE]\n\n'];

function framed(chunks: readonly string[]): Buffer {
  const text = chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join('');
  return Buffer.from(`${text}0\r\n\r\n`);
}

/** Reads an answer that arrives in two packets. */
function read(
  bytes: Buffer,
  cut: number,
): { body: string; events: number; isDone: boolean; ends: boolean[] } {
  let body = '';
  const counter = new EventCounter();
  const chunked = new ChunkedBody((part) => {
    body += part.toString();
    counter.take(part);
  });
  const ends = [bytes.subarray(0, cut), bytes.subarray(cut)].map((packet) => chunked.take(packet));
  return { body, events: counter.events, isDone: counter.isDone, ends };
}

describe('reading a stream', () => {
  it.each([
    ['an event a chunk', EVENTS],
    ['everything in one chunk', [EVENTS.join('')]],
    ['chunks cut inside of events and of [DONE]', ['data: {"a":1}\n', `\n${EVENTS[1]}data: [DO`, 'NE]\n\n']],
    ['a byte a chunk', [...EVENTS.join('')]],
  ])('is the same wherever the packets are cut: %s', (_, chunks) => {
    const bytes = framed(chunks);
    for (let cut = 1; cut < bytes.length; cut++) {
      expect(read(bytes, cut)).toEqual({
        body: EVENTS.join(''),
        events: 3,
        isDone: true,
        ends: [false, true],
      });
    }
  });

  it('knows a stream without [DONE]', () => {
    expect(read(framed([EVENTS[0]!]), 5)).toMatchObject({ events: 1, isDone: false, ends: [false, true] });
  });

  it('does not end at a chunk whose data looks like the end', () => {
    const bytes = framed(['0\r\n\r\n', 'x']);
    expect(read(bytes, 8)).toMatchObject({ body: '0\r\n\r\nx', ends: [false, true] });
  });
});
