import { Global, Inject, Module, type OnModuleInit } from '@nestjs/common';
import { TerminusModule } from '@nestjs/terminus';
import { APP_CONFIG, type AppConfig } from '../config/app-config.js';
import { DatabaseService } from '../database/database.service.js';
import { RateLimitStatus } from '../limits/rate-limit-status.service.js';
import { RedisStatus } from '../redis/redis-status.service.js';
import { CircuitBreakerReport } from './circuit-breaker-report.js';
import { DrainState } from './drain-state.js';
import { EventLoopLag } from './event-loop-lag.js';
import { HealthChecks } from './health-checks.service.js';
import { HealthHistory } from './health-history.service.js';
import { HealthProbes } from './health-probes.js';
import { HealthController } from './health.controller.js';
import { DatabaseProbe } from './probes/database.probe.js';
import { EventLoopProbe } from './probes/event-loop.probe.js';
import { CacheProbe, RateLimitsProbe } from './probes/redis.probe.js';
import { SystemReport } from './system-report.service.js';

/** How the instance is. Reads the other modules, changes nothing in them. */
@Global()
@Module({
  imports: [TerminusModule.forRoot({ logger: false })],
  controllers: [HealthController],
  providers: [
    DrainState,
    HealthProbes,
    HealthChecks,
    HealthHistory,
    EventLoopLag,
    SystemReport,
    CircuitBreakerReport,
  ],
  exports: [DrainState, HealthProbes, HealthChecks, HealthHistory, SystemReport, CircuitBreakerReport],
})
export class HealthModule implements OnModuleInit {
  constructor(
    private readonly probes: HealthProbes,
    private readonly database: DatabaseService,
    private readonly redis: RedisStatus,
    private readonly limits: RateLimitStatus,
    private readonly lag: EventLoopLag,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {}

  onModuleInit(): void {
    this.probes.add(new DatabaseProbe(this.database, () => !this.config.billing.enabled));
    this.probes.add(new CacheProbe(this.redis));
    this.probes.add(new RateLimitsProbe(this.limits));
    this.probes.add(new EventLoopProbe(this.lag));
  }
}
