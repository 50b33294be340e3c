import { type CanActivate, type ExecutionContext, Inject, Injectable } from '@nestjs/common';
import type { Request } from 'express';
import type { IncomingMessage } from 'node:http';
import { APP_CONFIG, type AppConfig } from '../config/app-config.js';
import { useJsonBody } from './read-json-body.js';

/**
 * The last guard: reads the body of a request that the guards before it have let through. So an unknown caller cannot
 * make the gateway buffer a megabyte, and a refused one costs no parsing.
 *
 * A guard and not an interceptor, which would be the usual place: Nest's interceptor chain (rxjs, a replay subject,
 * listeners for a client that leaves) costs much however little an interceptor does: two of them, with the pipes of two
 * parameters, were some 50 µs a request.
 */
@Injectable()
export class JsonBodyGuard implements CanActivate {
  constructor(@Inject(APP_CONFIG) private readonly config: AppConfig) {}

  canActivate(context: ExecutionContext): true | Promise<true> {
    const request = context.switchToHttp().getRequest<Request>();
    const { method } = request;
    if (method === 'GET' || method === 'HEAD' || method === 'OPTIONS') return true;
    return useJsonBody(request, this.config.http.bodyLimitBytes, keepBody);
  }
}

/** Here and not behind the promise of the body: with each further one a request goes once more through the queue. */
function keepBody(body: unknown, request: IncomingMessage): true {
  (request as Request).body = body;
  return true;
}
