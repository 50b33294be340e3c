import assert from 'node:assert/strict';
import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import { CHAT_EXAMPLES } from '../chat-examples.js';
import { expectCleanPrototypes, expectGatewayError } from '../expectations.js';
import type { FuzzTarget } from '../fuzz-target.js';
import { cuts, hostileJson, mutated, nested, split } from '../hostile-json.js';

const DEEPEST = 64;

const utf8 = new TextEncoder();

/** What comes over the wire: nearly right requests, their text spoilt byte by byte, and anything at all. */
const bodies = (): fc.Arbitrary<Uint8Array> =>
  fc.oneof(
    { weight: 6, arbitrary: mutated(CHAT_EXAMPLES).map((value) => utf8.encode(JSON.stringify(value))) },
    { weight: 2, arbitrary: spoiltText() },
    { weight: 1, arbitrary: hostileJson().map((value) => utf8.encode(JSON.stringify(value))) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 300 }) },
    {
      weight: 1,
      arbitrary: fc
        .integer({ min: DEEPEST - 4, max: DEEPEST + 4 })
        .map((depth) => utf8.encode(JSON.stringify({ ...Object(CHAT_EXAMPLES[0]), extra: nested(depth) }))),
    },
  );

/** Bytes that are no text: beyond UTF-8, too long for their character, half a pair, cut. */
const NO_TEXT = [[0xff], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xe2, 0x82]].map((bytes) =>
  Uint8Array.from(bytes),
);

const SPOILERS = [
  '{',
  '[',
  '"',
  ',',
  '\\u0000',
  '\\ud800',
  '"__proto__":{},',
  '"model":"again",',
  '1e999',
  '\u0000',
  '\ufeff',
].map((text) => utf8.encode(text));

function spoiltText(): fc.Arbitrary<Uint8Array> {
  const spoilers = fc.constantFrom(...SPOILERS, ...NO_TEXT);
  return fc
    .tuple(mutated(CHAT_EXAMPLES, 1), fc.nat(2_000), fc.constantFrom(0, 0, 1, 10), spoilers)
    .map(([value, at, removed, bytes]) => {
      const json = utf8.encode(JSON.stringify(value));
      const place = at % (json.length + 1);
      return Buffer.concat([json.subarray(0, place), bytes, json.subarray(place + removed)]);
    });
}

/** And whether it says that JSON in UTF-8 comes. */
const CONTENT_TYPES: readonly (readonly [type: string, isJson: boolean])[] = [
  ['application/json', true],
  ['application/json; charset=utf-8', true],
  ['application/JSON;charset="UTF-8"', true],
  ['application/vnd.api+json', true],
  ['application/json\t; charset=latin1', false],
  ['application/json; charset="utf-16"', false],
  [' application/json', false],
  ['application/jsonx', false],
  ['application/json, text/plain', false],
  ['text/plain', false],
  ['application/x-www-form-urlencoded', false],
  ['multipart/form-data; boundary=x', false],
  ['', false],
];
const JSON_TYPE = CONTENT_TYPES[0]!;

function incoming(pieces: readonly Uint8Array[], type: string): IncomingMessage {
  const stream = Readable.from(pieces.map((piece) => Buffer.from(piece)));
  const headers = { 'content-type': type, 'transfer-encoding': 'chunked' };
  return Object.assign(stream, { headers }) as unknown as IncomingMessage;
}

/** As it would be sent on: without the class, and with the numbers that JSON has (1e999 is none). */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

/** Not deeper than is allowed, and without the key that reaches for prototypes: looked at without the reader's own code. */
function expectHarmless(value: unknown, depth = 1): void {
  if (typeof value !== 'object' || value === null) return;
  assert.ok(depth <= DEEPEST, 'nothing is deeper than is allowed');
  assert.ok(!Object.hasOwn(value, '__proto__'), 'no __proto__');
  for (const child of Object.values(value)) expectHarmless(child, depth + 1);
}

export const CHAT_REQUEST: FuzzTarget = {
  name: 'chat-request',
  promise: 'any body is a chat request as it was sent, or one refusal: 400, 413 or 415',
  shortRuns: 1_500,
  async property() {
    const { useJsonBody } = await import('../../../src/edge/read-json-body.js');
    const { toChatRequest } = await import('../../../src/completions/request/to-chat-request.js');
    const take = async (body: Uint8Array, places: readonly number[], type: string, limitBytes: number) =>
      useJsonBody(incoming(split(body, places), type), limitBytes, toChatRequest);
    // Else a reader that refused everything would hold every promise.
    for (const example of CHAT_EXAMPLES)
      await take(utf8.encode(JSON.stringify(example)), [], JSON_TYPE[0], 20_000);
    return fc.asyncProperty(
      bodies(),
      cuts(),
      fc.oneof({ weight: 9, arbitrary: fc.constant(JSON_TYPE) }, fc.constantFrom(...CONTENT_TYPES)),
      fc.constantFrom(250, 20_000, 20_000),
      async (body, places, [type, isJson], limitBytes) => {
        try {
          const request = await take(body, places, type, limitBytes);
          assert.ok(isJson && isUtf8(body) && body.length <= limitBytes, 'what is no JSON is not taken');
          const sent: unknown = JSON.parse(
            Buffer.from(body)
              .toString('utf8')
              .replace(/^\ufeff/, ''),
          );
          expectHarmless(sent);
          assert.deepEqual(plain(request), plain(sent), 'nothing is added, lost or changed');
          assert.ok(typeof request.model === 'string' && request.messages.length > 0);
        } catch (error) {
          expectGatewayError(error, [400, 413, 415]);
        }
        expectCleanPrototypes();
      },
    );
  },
};
