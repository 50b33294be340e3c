import type { NextFunction, Request, RequestHandler, Response } from 'express';
import type { Telemetry } from '../telemetry.js';

/** The completions tell their story themselves, in a `RequestRecord` with tokens and cost. */
const COMPLETIONS_PATH = /\/chat\/completions(?:\/stream)?\/?$/;

/** Express-level: tells of every finished request of the other routes. Mounted after the request-context middleware. */
export function accessLog(telemetry: Telemetry): RequestHandler {
  return (request: Request, response: Response, next: NextFunction) => {
    const path = request.path;
    if (!COMPLETIONS_PATH.test(path)) response.once('close', () => tell(telemetry, request, response, path));
    next();
  };
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
    durationMs: performance.now() - context.startedAtMs,
    requestId: context.requestId,
    userId: context.principal?.userId,
  });
}
