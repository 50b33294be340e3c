import type { CallSignal, GatewayErrorCode } from '@app/contracts';
import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { Request } from 'express';
import type { Principal } from '../auth/principal.js';
import type { BillingSession } from '../billing/billing-session.js';

/**
 * What one request carries along. Who writes which field is listed in `app.module.ts`.
 * Made by `requestContext` for every request, so that even a refusal has an id.
 */
export interface RequestContext {
  /** The client's `x-request-id` when it was sane, else `billingId`. Shown to the client and in every log line. */
  readonly requestId: string;
  /** UUID v7 made by the gateway: key of hold and ledger row, never chosen by the client. */
  readonly billingId: string;
  /** `performance.now()` at arrival. */
  readonly startedAtMs: number;
  /** Without the query. */
  readonly path: string;
  /** The client went away before its answer was complete. */
  readonly isClientGone: boolean;
  /** Aborted when the client goes away before its answer is complete. Made when it is asked for: most never ask. */
  readonly clientGone: CallSignal;
  /** W3C trace context of the client, when sane. */
  readonly traceparent: string | undefined;
  readonly clientAddress: string;
  principal: Principal | undefined;
  /** `performance.now()` behind the JWT guard and behind the limits; for the stages of a trace. */
  authenticatedAtMs: number | undefined;
  admittedAtMs: number | undefined;
  billing: BillingSession | undefined;
  /** The completions service tells of this request, whatever its end (`RequestRecord`): the access log need not. */
  hasRecord: boolean;
  /** Of the error that was sent; for the log line. */
  errorCode: GatewayErrorCode | undefined;
}

declare module 'express-serve-static-core' {
  interface Request {
    gateway: RequestContext;
  }
}

/** Injects the request's context into a handler parameter. */
export const Context = createParamDecorator(
  (_data: unknown, context: ExecutionContext) => context.switchToHttp().getRequest<Request>().gateway,
);

/** The context's principal in a handler that the JWT guard has let through. */
export function requirePrincipal(context: RequestContext): Principal {
  if (!context.principal) throw new Error('no principal: the route is not behind the JWT guard');
  return context.principal;
}
