import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { Request, Response } from 'express';
import { type Decorated, RouteMemory } from '../edge/route-memory.js';
import type { Decision } from './limit-store.js';
import { RateLimitHeaders } from './rate-limit-headers.js';
import { RequestLimiter } from './request-limiter.service.js';
import { RouteThrottler } from './route-throttler.js';

/** What a route's decorators say. */
interface RouteLimits {
  /** `@SkipThrottle()` */
  readonly isSkipped: boolean;
  /** `@Throttle({ minute: { limit, ttl } })`: a limit of the route's own, besides the user's. */
  readonly hasOwn: boolean;
}

/**
 * The user's minute and hour and the shared minute are one question to the store, not three, and a refused request
 * costs nothing. A store at hand answers without a promise, and so does this guard.
 *
 * Runs after the JWT guard. A request without a principal has come through a `@Public()` route and is not limited.
 * @nestjs/throttler's decorators work: `@SkipThrottle()` as ever; `@Throttle({ minute | hour: … })` adds the route's own
 * limit, which throttler counts itself.
 */
@Injectable()
export class RateLimitGuard implements CanActivate {
  readonly #headers: RateLimitHeaders;
  readonly #routes = new RouteMemory((decorated) => this.#readRoute(decorated));

  constructor(
    private readonly reflector: Reflector,
    private readonly limiter: RequestLimiter,
    private readonly throttler: RouteThrottler,
  ) {
    this.#headers = new RateLimitHeaders(limiter.userRules);
  }

  canActivate(context: ExecutionContext): boolean | Promise<boolean> {
    const userId = context.switchToHttp().getRequest<Request>().gateway?.principal?.userId;
    if (userId === undefined) return true;
    const route = this.#routes.of(context);
    if (route.isSkipped) return true;
    if (this.limiter.isOff) return this.#throttle(context, route);
    const decision = this.limiter.take(userId);
    if (!(decision instanceof Promise)) return this.#decided(context, route, decision);
    return decision.then((decided) => this.#decided(context, route, decided));
  }

  #decided(context: ExecutionContext, route: RouteLimits, decision: Decision): boolean | Promise<boolean> {
    this.#headers.write(context.switchToHttp().getResponse<Response>(), decision);
    const refused = this.limiter.judge(decision);
    if (refused) throw refused;
    return this.#throttle(context, route);
  }

  #throttle(context: ExecutionContext, { hasOwn }: RouteLimits): boolean | Promise<boolean> {
    if (hasOwn) return this.throttler.canActivate(context).then(() => this.#admit(context));
    return this.#admit(context);
  }

  #admit(context: ExecutionContext): true {
    context.switchToHttp().getRequest<Request>().gateway.admittedAtMs = performance.now();
    return true;
  }

  #readRoute(decorated: Decorated): RouteLimits {
    const has = (key: string): boolean =>
      this.reflector.getAllAndOverride<unknown>(key, decorated) !== undefined;
    return {
      isSkipped: this.reflector.getAllAndOverride<boolean>('THROTTLER:SKIPdefault', decorated) === true,
      hasOwn: has('THROTTLER:LIMITminute') || has('THROTTLER:LIMIThour'),
    };
  }
}
