import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import type { Request } from 'express';
import { from, lastValueFrom, type Observable } from 'rxjs';
import { type RequestContext, requirePrincipal } from '../edge/request-context.js';
import type { BillingSession } from './billing-session.js';
import { BillingSessions } from './session/billing-sessions.service.js';

/**
 * Opens the billing session of a route that spends money, and closes it when the handler failed without doing so: no
 * error, wherever it comes from, leaves money held. What an answer costs is settled by the completions service, before
 * its last byte.
 *
 * `@Billed()` puts it around a handler in Nest's way. The busiest route calls `around` itself: the same without Nest's
 * interceptor chain, which with the pipes of two parameters cost some 50 µs a request.
 */
@Injectable()
export class BillingInterceptor implements NestInterceptor {
  constructor(private readonly sessions: BillingSessions) {}

  intercept(execution: ExecutionContext, next: CallHandler): Observable<unknown> {
    const { gateway } = execution.switchToHttp().getRequest<Request>();
    return from(this.around(gateway, () => lastValueFrom(next.handle(), { defaultValue: undefined })));
  }

  around<T>(context: RequestContext, handle: () => Promise<T>): Promise<T> {
    const { billingId, requestId } = context;
    const { userId } = requirePrincipal(context);
    const session = this.sessions.open({ billingId, requestId, userId });
    context.billing = session;
    try {
      return handle().catch((error: unknown) => closeAfter(session, error));
    } catch (error) {
      return closeAfter(session, error);
    }
  }
}

async function closeAfter(session: BillingSession, error: unknown): Promise<never> {
  if (!session.closed) {
    await session.settle({ kind: 'release', reason: 'handler_failed' }).catch(() => undefined);
  }
  throw error;
}
