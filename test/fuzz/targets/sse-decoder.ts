import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { FuzzTarget } from '../fuzz-target.js';
import { cuts, hostileText, split } from '../hostile-json.js';

interface Event {
  readonly event?: string | undefined;
  readonly data: string;
}

const PIECES = [
  'data: a',
  'data:',
  'data',
  'data:  two blanks',
  'event: done',
  'event:',
  'id: 7',
  'retry: 10',
  ': comment',
  'database: no',
  'data: {"a":"é💥\u2028"}',
  '\n',
  '\n\n',
  '\r\n\r\n',
  '\r\r',
  '\r',
  '\ufeff',
  '\u0000',
  '[DONE]',
];

/** Text of an event stream, with bytes that are no text now and then. */
const streams = (): fc.Arbitrary<Uint8Array> =>
  fc
    .array(
      fc.oneof(
        { weight: 8, arbitrary: fc.constantFrom(...PIECES).map((text) => Buffer.from(text)) },
        { weight: 2, arbitrary: hostileText().map((text) => Buffer.from(text)) },
        { weight: 1, arbitrary: fc.uint8Array({ maxLength: 6 }).map((bytes) => Buffer.from(bytes)) },
      ),
      { maxLength: 40 },
    )
    .map((pieces) => Buffer.concat(pieces));

/** Bytes of an event. One that is no text counts as the three of its replacement, or as one, as the cuts have it. */
interface Size {
  readonly least: number;
  readonly most: number;
}

/**
 * The specification's rules over the whole text at once: a second opinion that shares no code with the decoder.
 *
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
 */
function interpret(bytes: Uint8Array): { events: Event[]; largest: Size } {
  const text = new TextDecoder('utf-8').decode(bytes);
  const events: Event[] = [];
  const largest = { least: 0, most: 0 };
  const size = { least: 0, most: 0 };
  let name = '';
  let data: string[] = [];
  // The last event needs no blank line behind it: that is the decoder's one liberty.
  for (const line of [...text.split(/\r\n|\r|\n/), '']) {
    size.most += Buffer.byteLength(line);
    size.least += Buffer.byteLength(line.replaceAll('\ufffd', '?'));
    largest.most = Math.max(largest.most, size.most);
    largest.least = Math.max(largest.least, size.least);
    if (line === '') {
      size.most = size.least = 0;
      if (data.length > 0) events.push({ ...(name ? { event: name } : {}), data: data.join('\n') });
      name = '';
      data = [];
      continue;
    }
    const [, field, value] = /^([^:]*)(?::[ ]?([^]*))?$/.exec(line) ?? [];
    if (field === 'data') data.push(value ?? '');
    if (field === 'event') name = value ?? '';
  }
  return { events, largest };
}

export const SSE_DECODER: FuzzTarget = {
  name: 'sse-decoder',
  promise: 'any bytes give the events of the specification, however they are cut, within a bound',
  shortRuns: 3_000,
  async property() {
    const { SseDecoder, SseTooLargeError } = await import('../../../libs/sse/sse-decoder.js');
    return fc.property(streams(), cuts(), fc.constantFrom(16, 64, 1_000_000), (bytes, places, most) => {
      const decode = (pieces: readonly Uint8Array[]): Event[] | 'too large' => {
        const decoder = new SseDecoder({ maxEventBytes: most });
        try {
          return [...pieces.flatMap((piece) => decoder.push(piece)), ...decoder.end()];
        } catch (error) {
          if (error instanceof SseTooLargeError) return 'too large';
          throw error;
        }
      };
      const { events, largest } = interpret(bytes);
      const decoded = decode(split(bytes, places));
      if (decoded === 'too large')
        assert.ok(largest.most > most, 'what is within the bound is not too large');
      else {
        assert.ok(largest.least <= most, 'what is beyond the bound is too large');
        assert.deepEqual(decoded, events);
      }
      if (most === 1_000_000) assert.deepEqual(decoded, decode([bytes]), 'the cuts decide nothing');
    });
  },
};
