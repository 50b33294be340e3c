import { type ExecutionContext, Injectable } from '@nestjs/common';
import { ThrottlerGuard, type ThrottlerLimitDetail } from '@nestjs/throttler';
import type { Request } from 'express';
import { refusal } from './request-limiter.service.js';

/** @nestjs/throttler's own guard, for routes with a limit of their own: `@Throttle({ minute | hour: { limit, ttl } })`. */
@Injectable()
export class RouteThrottler extends ThrottlerGuard {
  protected override async getTracker(request: Pick<Request, 'gateway' | 'ip'>): Promise<string> {
    return String(request.gateway?.principal?.userId ?? request.ip);
  }

  protected override async throwThrottlingException(
    _context: ExecutionContext,
    detail: ThrottlerLimitDetail,
  ): Promise<void> {
    throw refusal('rate_limited', 'Rate limit of this route reached.', detail.timeToBlockExpire * 1000);
  }
}
