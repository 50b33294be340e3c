import type { Response } from 'express';

/**
 * Sends JSON text as it is: no second stringify, no ETag.
 *
 * Pure ASCII goes out together with the head, as one string; other text as bytes, since Node would write the head in the
 * encoding of the text that it joins it with.
 */
export function sendJson(response: Response, json: string): void {
  const bytes = Buffer.byteLength(json);
  response.statusCode = 200;
  response.setHeader('Content-Type', 'application/json; charset=utf-8').setHeader('Content-Length', bytes);
  if (bytes === json.length) response.end(json, 'latin1');
  else response.end(Buffer.from(json));
}
