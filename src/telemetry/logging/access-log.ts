import type { NextFunction, Request, RequestHandler, Response } from 'express';
import type { Telemetry } from '../telemetry.js';

/**
 * Express-level: tells of every finished request that leaves no `RequestRecord`: all routes but the completions, and
 * completions that were refused before they began (no token, too many, not valid). Mounted after `requestContext`.
 */
export function accessLog(telemetry: Telemetry): RequestHandler {
  /** One for all responses, which know their request. */
  function onClose(this: Response): void {
    if (!this.req.gateway.hasRecord) tell(telemetry, this.req, this);
  }
  return (_request: Request, response: Response, next: NextFunction) => {
    response.on('close', onClose);
    next();
  };
}

function tell(telemetry: Telemetry, request: Request, response: Response): void {
  const context = request.gateway;
  const route: unknown = request.route?.path;
  telemetry.event({
    kind: 'access',
    method: request.method,
    route: typeof route === 'string' ? route : undefined,
    path: context.path,
    status: response.writableFinished ? response.statusCode : 499,
    errorCode: context.errorCode,
    durationMs: performance.now() - context.startedAtMs,
    requestId: context.requestId,
    userId: context.principal?.userId,
  });
}
