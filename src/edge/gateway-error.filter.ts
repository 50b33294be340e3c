import { GATEWAY_ERRORS, GatewayError, type GatewayErrorCode } from '@app/contracts';
import {
  type ArgumentsHost,
  Catch,
  type ExceptionFilter,
  HttpException,
  NotFoundException,
} from '@nestjs/common';
import type { Request, Response } from 'express';
import { Telemetry } from '../telemetry/telemetry.js';
import { describeMissingRoute } from './missing-route.js';

/** The official SDKs wait for no longer, or for so long without a word: to wait on is the program's own decision. */
const LONG_WAIT_MS = 60_000;

/**
 * `x-should-retry` is what the official SDKs go by, before the status. They would never repeat a 402, though this one
 * passes by itself, and always a 5xx, though no repetition mends the operator's key.
 */
const SHOULD_RETRY: Readonly<Partial<Record<GatewayErrorCode, boolean>>> = {
  balance_reserved: true,
  provider_auth_failed: false,
};

/** For a refusal whose origin named no time. */
const DEFAULT_RETRY_AFTER_MS: Readonly<Record<number, number>> = { 429: 1000, 503: 1000 };

/** Anything thrown anywhere -> the one envelope. Nothing of an unexpected error's text reaches the client. */
@Catch()
export class GatewayErrorFilter implements ExceptionFilter {
  constructor(private readonly telemetry: Telemetry) {}

  catch(exception: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    const request = http.getRequest<Request>();
    // Nest's router throws it; our own errors of this status are GatewayErrors.
    const error =
      exception instanceof NotFoundException
        ? new GatewayError('not_found', describeMissingRoute(request.path))
        : toGatewayError(exception);
    if (error.code === 'internal_error') {
      this.telemetry.event({
        kind: 'unexpected-error',
        where: `${request.method} ${request.route?.path ?? ''}`,
        requestId: request.gateway?.requestId,
        userId: request.gateway?.principal?.userId,
        error: exception,
      });
    }
    sendError(http.getResponse<Response>(), error, request);
  }
}

/**
 * @returns the error itself; `invalid_http_request` for what Nest or Express refuse by themselves (a path that cannot be
 *          decoded, a range that a file does not have), with their word for it; `internal_error` for the unknown
 */
export function toGatewayError(exception: unknown): GatewayError {
  if (exception instanceof GatewayError) return exception;
  if (exception instanceof HttpException && exception.getStatus() < 500)
    return new GatewayError('invalid_http_request', exception.message, { cause: exception });
  const message = 'The gateway failed unexpectedly. The error is logged under this request id.';
  return new GatewayError('internal_error', message, { cause: exception });
}

/** Writes the envelope; does nothing when the answer has already begun. */
export function sendError(response: Response, error: GatewayError, request?: Request): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  if (request?.gateway) request.gateway.errorCode = error.code;
  const retryAfterMs = error.retryAfterMs ?? DEFAULT_RETRY_AFTER_MS[error.status];
  if (retryAfterMs !== undefined) {
    response.setHeader('Retry-After', String(Math.max(1, Math.ceil(retryAfterMs / 1000))));
  }
  const shouldRetry =
    retryAfterMs !== undefined && retryAfterMs >= LONG_WAIT_MS ? false : SHOULD_RETRY[error.code];
  if (shouldRetry !== undefined) response.setHeader('x-should-retry', String(shouldRetry));
  for (const [name, value] of Object.entries(error.headers)) response.setHeader(name, value);
  const body = JSON.stringify(error.toEnvelope());
  response.statusCode = GATEWAY_ERRORS[error.code].status;
  response
    .setHeader('Content-Type', 'application/json; charset=utf-8')
    .setHeader('Content-Length', Buffer.byteLength(body));
  if (request && !request.complete) answerUnread(request, response, body);
  else response.end(body);
}

/** How long the rest of a body is waited for: mostly it is right behind its head. */
const REST_MS = 100;
/** What a refused sender may go on sending after that, in time and bytes, before its connection is closed all the same. */
const LINGER_MS = 500;
const LINGER_BYTES = 32 * 2 ** 20;

/**
 * Answers a request whose body nobody reads. When it has come nevertheless, in its declared length, the connection is good
 * for the next request. Else the rest must not be mistaken for one, nor be waited for: the connection ends. But not at once,
 * since a connection that is closed while its client still writes is reset, and the client never reads why.
 */
function answerUnread(request: Request, response: Response, body: string): void {
  let timer = setTimeout(close, REST_MS);
  let dropped = 0;
  if (request.headers['transfer-encoding'] !== undefined) close();
  request.on('data', (chunk: Buffer) => {
    dropped += chunk.length;
    if (dropped <= LINGER_BYTES) return;
    close();
    end();
  });
  request.once('end', end).once('close', end).resume();

  function end(): void {
    clearTimeout(timer);
    if (response.headersSent) response.end();
    else response.end(body);
  }

  function close(): void {
    if (response.headersSent) return;
    response.setHeader('Connection', 'close').write(body);
    clearTimeout(timer);
    timer = setTimeout(end, LINGER_MS);
  }
}
