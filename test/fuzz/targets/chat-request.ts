import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import { CHAT_EXAMPLES } from '../chat-examples.js';
import { expectCleanPrototypes, expectGatewayError } from '../expectations.js';
import type { FuzzTarget } from '../fuzz-target.js';
import { cuts, hostileJson, mutated, split } from '../hostile-json.js';

const BODY_LIMIT_BYTES = 20_000;

const utf8 = new TextEncoder();

/** What comes over the wire: nearly right requests, their text spoilt byte by byte, and anything at all. */
const bodies = (): fc.Arbitrary<Uint8Array> =>
  fc.oneof(
    { weight: 6, arbitrary: mutated(CHAT_EXAMPLES).map((value) => utf8.encode(JSON.stringify(value))) },
    { weight: 2, arbitrary: spoiltText() },
    { weight: 1, arbitrary: hostileJson().map((value) => utf8.encode(JSON.stringify(value))) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 300 }) },
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
];

function spoiltText(): fc.Arbitrary<Uint8Array> {
  return fc
    .tuple(mutated(CHAT_EXAMPLES, 1), fc.nat(2_000), fc.nat(10), fc.constantFrom(...SPOILERS))
    .map(([value, at, removed, text]) => {
      const json = JSON.stringify(value);
      const place = at % (json.length + 1);
      return utf8.encode(json.slice(0, place) + text + json.slice(place + removed));
    });
}

const CONTENT_TYPES = [
  'application/json',
  'application/json; charset=utf-8',
  'application/JSON;charset="UTF-8"',
  'application/json\t; charset=latin1',
  ' application/json',
  'application/jsonx',
  'text/plain',
  'application/x-www-form-urlencoded',
  'multipart/form-data; boundary=x',
  '',
];

function incoming(pieces: readonly Uint8Array[], type: string): IncomingMessage {
  const stream = Readable.from(pieces.map((piece) => Buffer.from(piece)));
  const headers = { 'content-type': type, 'transfer-encoding': 'chunked' };
  return Object.assign(stream, { headers }) as unknown as IncomingMessage;
}

/** As it would be sent on: without the class, and with the numbers that JSON has (1e999 is none). */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

export const CHAT_REQUEST: FuzzTarget = {
  name: 'chat-request',
  promise: 'any body is a chat request as it was sent, or one refusal: 400, 413 or 415',
  shortRuns: 1_500,
  async property() {
    const { readJsonBody } = await import('../../../src/edge/read-json-body.js');
    const { toChatRequest } = await import('../../../src/completions/request/to-chat-request.js');
    return fc.asyncProperty(
      bodies(),
      cuts(),
      fc.oneof({ weight: 9, arbitrary: fc.constant('application/json') }, fc.constantFrom(...CONTENT_TYPES)),
      async (body, places, type) => {
        try {
          const value = await readJsonBody(incoming(split(body, places), type), BODY_LIMIT_BYTES);
          const request = toChatRequest(value);
          const sent: unknown = JSON.parse(
            Buffer.from(body)
              .toString('utf8')
              .replace(/^\ufeff/, ''),
          );
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
