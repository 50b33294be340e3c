import { Module } from '@nestjs/common';
import { APP_FILTER, APP_GUARD, APP_PIPE } from '@nestjs/core';
import { AuthModule } from './auth/auth.module.js';
import { JwtAuthGuard } from './auth/jwt-auth.guard.js';
import { BillingModule } from './billing/billing.module.js';
import { CacheModule } from './cache/cache.module.js';
import { CompletionsModule } from './completions/completions.module.js';
import { ConfigurationModule } from './config/configuration.module.js';
import { DatabaseModule } from './database/database.module.js';
import { EdgeModule } from './edge/edge.module.js';
import { GatewayErrorFilter } from './edge/gateway-error.filter.js';
import { GatewayValidationPipe } from './edge/gateway-validation.pipe.js';
import { JsonBodyGuard } from './edge/json-body.guard.js';
import { HealthModule } from './health/health.module.js';
import { LimitsModule } from './limits/limits.module.js';
import { RateLimitGuard } from './limits/rate-limit.guard.js';
import { ModelsModule } from './models/models.module.js';
import { OpsModule } from './ops/ops.module.js';
import { ProvidersModule } from './providers/providers.module.js';
import { RedisModule } from './redis/redis.module.js';
import { TelemetryModule } from './telemetry/telemetry.module.js';

/** In the order in which they are asked, for every route. */
export const GUARDS = [JwtAuthGuard, RateLimitGuard, JsonBodyGuard] as const;

/**
 * The map of a request's way. `GUARDS` and `providers` are that way, in order:
 *
 *  1. edge       `requestContext` (server.ts) makes the RequestContext: requestId, billingId, startedAtMs, clientGone,
 *                traceparent, clientAddress. Then security headers, CORS, host check. Completions come here by a short
 *                way (exact-routes.adapter.ts), everything else through Express; guards, handler and filter are the same.
 *  2. auth       JwtAuthGuard: token -> `context.principal`. Deny by default; `@Public()` and `@AdminOnly()` say otherwise.
 *  3. limits     RateLimitGuard: counts by `context.principal`, writes the x-ratelimit-* headers.
 *  4. body       JsonBodyGuard reads JSON, behind the others: an unknown caller cannot make us buffer anything.
 *  5. decode     GatewayValidationPipe for DTOs; the completions controller checks its request by compiled rules.
 *  6. billing    BillingInterceptor opens `context.billing` where money is spent and closes it if nobody did.
 *  7. handler    completions: catalogue -> idempotency -> cache -> plan -> hold -> dispatch -> translate -> settle -> respond.
 *  8. errors     GatewayErrorFilter: whatever was thrown -> the one envelope, its code in `context.errorCode`.
 *
 * Who reads what: `requestId` everybody; `principal` limits, billing, completions; `billing` completions;
 * `clientGone` completions (abort or drain); `traceparent` providers and telemetry.
 */
@Module({
  imports: [
    ConfigurationModule,
    TelemetryModule,
    RedisModule,
    DatabaseModule,
    EdgeModule,
    AuthModule,
    LimitsModule,
    CacheModule,
    ProvidersModule,
    ModelsModule,
    BillingModule,
    CompletionsModule,
    HealthModule,
    OpsModule,
  ],
  providers: [
    ...GUARDS.map((guard) => ({ provide: APP_GUARD, useExisting: guard })),
    { provide: APP_PIPE, useClass: GatewayValidationPipe },
    { provide: APP_FILTER, useExisting: GatewayErrorFilter },
  ],
})
export class AppModule {}
