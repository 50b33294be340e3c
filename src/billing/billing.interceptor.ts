import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { Request } from 'express';
import { from, type Observable, switchMap, throwError, catchError } from 'rxjs';
import { type RequestContext, requirePrincipal } from '../edge/request-context.js';
import { IS_BILLED } from './billed.decorator.js';
import { BillingSessions } from './session/billing-sessions.service.js';

/**
 * Opens the billing session of a `@Billed()` route, and closes it when the handler failed without doing so: no error,
 * wherever it comes from, leaves money held. What an answer costs is settled by the completions service, before its last byte.
 */
@Injectable()
export class BillingInterceptor implements NestInterceptor {
  constructor(
    private readonly reflector: Reflector,
    private readonly sessions: BillingSessions,
  ) {}

  intercept(execution: ExecutionContext, next: CallHandler): Observable<unknown> {
    const isBilled = this.reflector.getAllAndOverride<boolean | undefined>(IS_BILLED, [
      execution.getHandler(),
      execution.getClass(),
    ]);
    if (!isBilled) return next.handle();
    const context = execution.switchToHttp().getRequest<Request>().gateway;
    context.billing = this.sessions.open({
      billingId: context.billingId,
      requestId: context.requestId,
      userId: requirePrincipal(context).userId,
    });
    return next
      .handle()
      .pipe(
        catchError((error: unknown) =>
          from(releaseUnsettled(context)).pipe(switchMap(() => throwError(() => error))),
        ),
      );
  }
}

async function releaseUnsettled({ billing }: RequestContext): Promise<void> {
  if (billing && !billing.closed)
    await billing.settle({ kind: 'release', reason: 'handler_failed' }).catch(() => undefined);
}
