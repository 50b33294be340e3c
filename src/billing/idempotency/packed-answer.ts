import { promisify } from 'node:util';
import { constants, gunzip, gzip } from 'node:zlib';
import type { StoredResponse } from './stored-response.js';

/** A stored answer as it lies in journal and database. */
export interface PackedAnswer extends Omit<StoredResponse, 'body'> {
  /** UTF-8 text, gzipped when it is long; `null`: too large to be kept. */
  readonly body: Buffer | null;
}

/** What lies down is at most this large. A larger answer is not kept: asking for it again gives 409, never a second charge. */
export const MOST_PACKED_BYTES = 1024 * 1024;
/** Nothing larger is packed at all: it would cost more than a retry is worth. */
const MOST_STORED_BYTES = 32 * 1024 * 1024;
/** Below this the time of packing costs more than the space. The transcript of a stream shrinks to a twentieth. */
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
