import { GatewayError, LONG_TEXT } from '@app/contracts';
import type { IncomingMessage } from 'node:http';
import { GatheredBytes } from '@app/bytes';
import { MAX_JSON_DEPTH, MAX_JSON_VALUES, structureFault, tooDeep, tooMany } from './json-structure.js';

const JSON_TYPE = /^application\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i;
const CHARSET = /;\s*charset\s*=\s*"?([\w-]+)"?/i;

/**
 * What `use` makes of the request's body as JSON (`undefined` for an empty one), without a promise in between.
 *
 * @throws GatewayError `unsupported_media_type` (not JSON, not UTF-8, compressed), `body_too_large`, `invalid_json`
 */
export function useJsonBody<T>(
  request: IncomingMessage,
  limitBytes: number,
  use: (body: unknown, request: IncomingMessage) => T,
): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  try {
    const declaredBytes = Number(request.headers['content-length'] ?? Number.NaN);
    const isAbsent = Number.isNaN(declaredBytes) && request.headers['transfer-encoding'] === undefined;
    if (declaredBytes === 0 || isAbsent) resolve(use(undefined, request));
    else {
      checkHeaders(request);
      if (declaredBytes > limitBytes) throw tooLarge(limitBytes);
      const read = (bytes: Buffer): void => {
        const text = decodeUtf8(bytes);
        const fault = text.length < LONG_TEXT ? undefined : structureFault(text);
        if (fault) throw fault;
        resolve(use(text.trim() === '' ? undefined : checkStructure(parse(text)), request));
      };
      readBytes(request, limitBytes, read, reject);
    }
  } catch (error) {
    reject(error);
  }
  return promise;
}

function checkHeaders(request: IncomingMessage): void {
  const contentType = request.headers['content-type'] ?? '';
  if (!JSON_TYPE.test(contentType)) {
    throw new GatewayError(
      'unsupported_media_type',
      'The body must be JSON, sent with Content-Type: application/json.',
    );
  }
  const charset = CHARSET.exec(contentType)?.[1]?.toLowerCase();
  if (charset !== undefined && charset !== 'utf-8' && charset !== 'utf8' && charset !== 'us-ascii') {
    throw new GatewayError('unsupported_media_type', 'The body must be UTF-8.');
  }
  const encoding = request.headers['content-encoding'] ?? 'identity';
  const transfer = request.headers['transfer-encoding'] ?? 'chunked';
  if (encoding.toLowerCase() !== 'identity' || transfer.trim().toLowerCase() !== 'chunked') {
    throw new GatewayError('unsupported_media_type', 'Compressed request bodies are not accepted.');
  }
}

/** A body on its way. */
interface Reading {
  readonly bytes: GatheredBytes;
  readonly limitBytes: number;
  readonly read: (bytes: Buffer) => void;
  readonly reject: (error: unknown) => void;
}

const READING = Symbol('reading');

/** The request lives as long as its answer, and its listeners with it: so these hold nothing, and all is let go of at the end. */
interface ReadRequest extends IncomingMessage {
  [READING]?: Reading | undefined;
}

/** By events and not `for await`, whose iterator over a request costs more than the reading. */
function readBytes(
  request: ReadRequest,
  limitBytes: number,
  read: (bytes: Buffer) => void,
  reject: (error: unknown) => void,
): void {
  request[READING] = { bytes: new GatheredBytes(), limitBytes, read, reject };
  request.on('data', onData).on('end', onEnd).on('error', onEndBefore).on('close', onClose);
}

function onData(this: ReadRequest, chunk: Buffer): void {
  const reading = this[READING];
  // What still comes after a refusal is read and dropped until that is sent: a reset would overtake it.
  if (!reading) return;
  reading.bytes.add(chunk);
  if (reading.bytes.length > reading.limitBytes) taken(this)?.reject(tooLarge(reading.limitBytes));
}

function onEnd(this: ReadRequest): void {
  const reading = taken(this);
  if (!reading) return;
  try {
    reading.read(reading.bytes.take());
  } catch (error) {
    reading.reject(error);
  }
}

function onEndBefore(this: ReadRequest, cause?: unknown): void {
  taken(this)?.reject(new GatewayError('invalid_json', 'The body ended before it was complete.', { cause }));
}

function onClose(this: ReadRequest): void {
  onEndBefore.call(this);
}

function taken(request: ReadRequest): Reading | undefined {
  const reading = request[READING];
  request[READING] = undefined;
  return reading;
}

function tooLarge(limitBytes: number): GatewayError {
  return new GatewayError('body_too_large', `The body is larger than ${limitBytes} bytes.`);
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

function decodeUtf8(bytes: Buffer): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw new GatewayError('invalid_json', 'The body is not valid UTF-8.', { cause });
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const message = error instanceof Error ? error.message : '';
    throw new GatewayError('invalid_json', `The body is not valid JSON${placeIn(message)}.`);
  }
}

/** Where the parser stopped, when it tells. Its own message quotes the text, which may be a prompt. */
function placeIn(message: string): string {
  if (message === 'Unexpected end of JSON input') return ': it ends too early';
  const [, place] = /\((line \d+ column \d+)\)$/.exec(message) ?? [];
  return place === undefined ? '' : `: see ${place}`;
}

/**
 * Refuses what no honest client sends and what would hurt further on: nesting that overflows the stack of whoever
 * walks it, floods of values, and keys that reach for prototypes. Strings are leaves, so a large prompt costs nothing.
 */
function checkStructure(root: unknown): unknown {
  if (typeof root === 'object' && root !== null) countValues(root, 1, 0);
  return root;
}

/** @returns how many values there are with those of `value`, which is `depth` levels deep: no deeper than is allowed */
function countValues(value: object, depth: number, before: number): number {
  if (depth > MAX_JSON_DEPTH) throw tooDeep();
  let values = before;
  if (Array.isArray(value)) {
    values = noFlood(values + value.length);
    for (const item of value as unknown[]) {
      if (typeof item === 'object' && item !== null) values = countValues(item, depth + 1, values);
    }
    return values;
  }
  // What JSON.parse made has no inherited keys, so this is as good as Object.keys and makes no list.
  for (const key in value) {
    if (key === '__proto__')
      throw new GatewayError('invalid_body', `The key ${key} is not accepted.`, { param: key });
    values = noFlood(values + 1);
    const child = (value as Readonly<Record<string, unknown>>)[key];
    if (typeof child === 'object' && child !== null) values = countValues(child, depth + 1, values);
  }
  return values;
}

function noFlood(values: number): number {
  if (values <= MAX_JSON_VALUES) return values;
  throw tooMany();
}
