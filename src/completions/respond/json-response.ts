import type { Response } from 'express';

/** Sends JSON text as it is: no second stringify, no ETag. */
export function sendJson(response: Response, json: string): void {
  const body = Buffer.from(json);
  response.statusCode = 200;
  response
    .setHeader('Content-Type', 'application/json; charset=utf-8')
    .setHeader('Content-Length', body.length)
    .end(body);
}
