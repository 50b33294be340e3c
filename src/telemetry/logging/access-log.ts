import type { NextFunction, Request, RequestHandler, Response } from 'express';
import type { Telemetry } from '../telemetry.js';

const COMPLETIONS_PATH = /\/chat\/completions(?:\/stream)?\/?$/;

/**
 * Express-level: tells of every finished request that leaves no `RequestRecord`: all routes but the completions, and
 * completions that were refused before they began (no token, too many, not valid). Mounted after `requestContext`.
 */
export function accessLog(telemetry: Telemetry): RequestHandler {
  return (request: Request, response: Response, next: NextFunction) => {
    const { path } = request.gateway;
    response.once('close', () => {
      if (!isRecorded(request, response, path)) tell(telemetry, request, response, path);
    });
    next();
  };
}

/** The completions service marks every answer with `x-cache`; of a client that left earlier it tells by itself. */
function isRecorded(request: Request, response: Response, path: string): boolean {
  if (!COMPLETIONS_PATH.test(path)) return false;
  return (
    response.hasHeader('x-cache') || (!response.writableFinished && request.gateway.principal !== undefined)
  );
}

function tell(telemetry: Telemetry, request: Request, response: Response, path: string): void {
  const context = request.gateway;
  const route: unknown = request.route?.path;
  telemetry.event({
    kind: 'access',
    method: request.method,
    route: typeof route === 'string' ? route : undefined,
    path,
    status: response.writableFinished ? response.statusCode : 499,
    errorCode: context.errorCode,
    durationMs: performance.now() - context.startedAtMs,
    requestId: context.requestId,
    userId: context.principal?.userId,
  });
}
