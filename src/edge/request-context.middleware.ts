import type { NextFunction, Request, Response } from 'express';
import { uuidV7 } from './uuid-v7.js';
import type { RequestContext } from './request-context.js';

const SANE_REQUEST_ID = /^[A-Za-z0-9._:@|/+=-]{1,128}$/;
const SANE_TRACEPARENT = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

/**
 * First of all: gives every request its context and its id, so that even a refusal can be found in the logs.
 * Decides nothing and refuses nobody: security lives in guards.
 */
export function requestContext(request: Request, response: Response, next: NextFunction): void {
  const gone = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) gone.abort();
  });
  const context: RequestContext = {
    requestId: sane(request.headers['x-request-id'], SANE_REQUEST_ID) ?? uuidV7(),
    billingId: uuidV7(),
    startedAtMs: performance.now(),
    clientGone: gone.signal,
    traceparent: sane(request.headers.traceparent, SANE_TRACEPARENT),
    clientAddress: request.ip ?? request.socket.remoteAddress ?? '',
    principal: undefined,
    authenticatedAtMs: undefined,
    admittedAtMs: undefined,
    billing: undefined,
    errorCode: undefined,
  };
  request.gateway = context;
  response.setHeader('x-request-id', context.requestId);
  next();
}

function sane(value: string | string[] | undefined, form: RegExp): string | undefined {
  return typeof value === 'string' && form.test(value) ? value : undefined;
}
