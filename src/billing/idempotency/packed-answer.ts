import { promisify } from 'node:util';
import { constants, gunzip, gzip } from 'node:zlib';
import type { StoredResponse } from './stored-response.js';

/** An answer as journal and database have it. */
export interface PackedAnswer extends Omit<StoredResponse, 'body'> {
  /** UTF-8 text, gzipped when it is long; `null`: too large to be kept. */
  readonly body: Buffer | null;
}

/** A larger answer is not stored: asking for it again gives 409, never a second charge. */
export const MOST_PACKED_BYTES = 1024 * 1024;
/** Anything larger is not even packed: that would cost more than a retry is worth. */
const MOST_STORED_BYTES = 32 * 1024 * 1024;
/** Below this, packing costs more time than the space is worth. A stream's transcript shrinks to a twentieth. */
const WORTH_PACKING_BYTES = 16 * 1024;
/** How a gzip file begins; no JSON text does. */
const GZIP_MAGIC = 0x1f8b;

const gzipped = promisify<Buffer, object, Buffer>(gzip);
const gunzipped = promisify<Buffer, object, Buffer>(gunzip);

export async function packAnswer(response: StoredResponse): Promise<PackedAnswer> {
  const text = Buffer.from(response.body);
  if (text.length < WORTH_PACKING_BYTES) return { ...response, body: text };
  if (text.length > MOST_STORED_BYTES) return { ...response, body: null };
  const body = await gzipped(text, { level: constants.Z_BEST_SPEED });
  return { ...response, body: body.length > MOST_PACKED_BYTES ? null : body };
}

/** @returns the text of a packed body */
export async function unpackBody(body: Buffer): Promise<string> {
  const isPacked = body.length > 1 && body.readUInt16BE(0) === GZIP_MAGIC;
  const text = isPacked ? await gunzipped(body, { maxOutputLength: MOST_STORED_BYTES }) : body;
  return text.toString('utf8');
}
