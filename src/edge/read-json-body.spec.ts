import { GatewayError } from '@app/contracts';
import fc from 'fast-check';
import { EventEmitter } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { describe, expect, it, vi } from 'vitest';
import { heapBytes } from '../../test/support/heap-bytes.js';
import { MAX_JSON_DEPTH } from './json-structure.js';
import { useJsonBody } from './read-json-body.js';

const LIMIT = 1_000_000;

function incoming(body: Buffer | string, headers: Record<string, string> = {}): IncomingMessage {
  const bytes = Buffer.from(body);
  const halves = [bytes.subarray(0, bytes.length >> 1), bytes.subarray(bytes.length >> 1)];
  return Object.assign(Readable.from(halves), {
    headers: { 'content-type': 'application/json', 'transfer-encoding': 'chunked', ...headers },
  }) as unknown as IncomingMessage;
}

const readBody = (request: IncomingMessage, limit: number): Promise<unknown> =>
  useJsonBody(request, limit, (body) => body);

async function refusalOf(request: IncomingMessage, limit = LIMIT): Promise<unknown> {
  return readBody(request, limit).then(
    () => 'accepted',
    (reason: unknown) => reason,
  );
}

async function codeOf(request: IncomingMessage, limit = LIMIT): Promise<string> {
  const error = await refusalOf(request, limit);
  return error instanceof GatewayError ? error.code : String(error);
}

describe('useJsonBody', () => {
  it('gives back any JSON object as it was', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(
          fc.string().filter((key) => key !== '__proto__'),
          fc.jsonValue({ maxDepth: 6 }),
        ),
        async (value) => {
          const text = JSON.stringify(value);
          fc.pre(!text.includes('"__proto__"'));
          expect(await readBody(incoming(text), LIMIT)).toEqual(JSON.parse(text));
        },
      ),
    );
  });

  it('takes no more memory for a body in chunks of a byte each', async () => {
    const body = JSON.stringify({ text: 'x'.repeat(LIMIT - 20) });
    const request = Object.assign(new EventEmitter(), {
      headers: { 'content-type': 'application/json', 'transfer-encoding': 'chunked' },
    });
    const read = readBody(request as unknown as IncomingMessage, LIMIT);
    const before = heapBytes();
    for (const letter of body) request.emit('data', Buffer.from(letter));
    expect(heapBytes() - before).toBeLessThan(20 * 2 ** 20);
    request.emit('end');
    expect(await read).toEqual(JSON.parse(body));
  });

  it('throws nothing but a GatewayError on arbitrary bytes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
        expect(['accepted', 'invalid_json', 'invalid_body']).toContain(
          await codeOf(incoming(Buffer.from(bytes))),
        );
      }),
      { numRuns: 2000 },
    );
  });

  it.each([
    ['text/plain', 'unsupported_media_type'],
    ['', 'unsupported_media_type'],
    ['application/json\t; charset=latin1', 'unsupported_media_type'],
    ['application/jsonx', 'unsupported_media_type'],
    ['application/json; charset=utf-8', 'accepted'],
    ['application/vnd.api+json', 'accepted'],
  ])('content type %j -> %s', async (type, code) => {
    expect(await codeOf(incoming('{}', { 'content-type': type }))).toBe(code);
  });

  it('takes no compressed bodies', async () => {
    expect(await codeOf(incoming('{}', { 'content-encoding': 'gzip' }))).toBe('unsupported_media_type');
  });

  it('stops at the limit, declared or not', async () => {
    expect(await codeOf(incoming('{"a":"xxxxxxxxxx"}'), 10)).toBe('body_too_large');
    expect(await codeOf(incoming('{}', { 'content-length': '99' }), 10)).toBe('body_too_large');
  });

  it.each([
    ['brackets', '['.repeat(500_000) + ']'.repeat(500_000)],
    ['brackets without end', '['.repeat(900_000)],
    ['empty objects', `[${'{},'.repeat(300_000)}{}]`],
  ])('does not even parse a megabyte of %s: the time is everybody’s', async (_what, body) => {
    const parse = vi.spyOn(JSON, 'parse');
    expect(await codeOf(incoming(body))).toBe('invalid_body');
    expect(parse).not.toHaveBeenCalled();
    parse.mockRestore();
  });

  it.each([
    ['{"model": "secret",', 'The body is not valid JSON: see line 1 column 20.'],
    ['{\n"model": "secret"\n"x"}', 'The body is not valid JSON: see line 3 column 1.'],
    ['{"secret": ', 'The body is not valid JSON: it ends too early.'],
    ['secret', 'The body is not valid JSON.'],
  ])('says where %j is no JSON, and quotes nothing of it', async (body, message) => {
    expect(await refusalOf(incoming(body))).toMatchObject({ code: 'invalid_json', message });
  });

  it('refuses invalid UTF-8, lone brackets, deep nesting, floods and __proto__', async () => {
    expect(await codeOf(incoming(Buffer.from([0x22, 0xff, 0x22])))).toBe('invalid_json');
    expect(await codeOf(incoming('{'))).toBe('invalid_json');
    expect(await codeOf(incoming('['.repeat(100_000) + ']'.repeat(100_000)))).toBe('invalid_body');
    expect(await codeOf(incoming('['.repeat(MAX_JSON_DEPTH) + ']'.repeat(MAX_JSON_DEPTH)))).toBe('accepted');
    expect(await codeOf(incoming(`[${'0,'.repeat(300_000)}0]`))).toBe('invalid_body');
    expect(await codeOf(incoming('{"a":{"__proto__":{"b":1}}}'))).toBe('invalid_body');
  });

  it('reads nothing where there is no body', async () => {
    const request = incoming('', { 'content-length': '0' });
    expect(await readBody(request, LIMIT)).toBeUndefined();
  });
});
