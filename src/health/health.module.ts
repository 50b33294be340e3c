import { Global, Module } from '@nestjs/common';
import { TerminusModule } from '@nestjs/terminus';
import { CircuitBreakerReport } from './circuit-breaker-report.js';
import { DrainState } from './drain-state.js';
import { EventLoopLag } from './event-loop-lag.js';
import { HealthChecks } from './health-checks.service.js';
import { HealthHistory } from './health-history.service.js';
import { HealthProbes } from './health-probes.js';
import { HealthController } from './health.controller.js';
import { ProbeRegistration } from './probe-registration.service.js';
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
    EventLoopLag,
    SystemReport,
    CircuitBreakerReport,
    ProbeRegistration,
    HealthHistory,
  ],
  exports: [DrainState, HealthProbes, HealthChecks, HealthHistory, SystemReport, CircuitBreakerReport],
})
export class HealthModule {}
