import { GatewayError } from '@app/contracts';
import { Controller, Get, Header, HttpStatus, Inject, Query, Res } from '@nestjs/common';
import { ApiOperation, ApiQuery, ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';
import { Public } from '../auth/public.decorator.js';
import { APP_CONFIG, type AppConfig } from '../config/app-config.js';
import { ApiAnswer } from '../docs/api-answer.decorator.js';
import { ApiErrors } from '../docs/api-errors.decorator.js';
import { DrainState } from './drain-state.js';
import { CircuitBreakerReport } from './circuit-breaker-report.js';
import { HealthChecks, type Readiness } from './health-checks.service.js';
import * as examples from './health.examples.js';
import { HealthHistory, HISTORY_INTERVAL_MS, HISTORY_LENGTH } from './health-history.service.js';
import { detailedReport, reportComponents } from './health-report.js';
import { SystemReport } from './system-report.service.js';

const DEFAULT_HISTORY = 100;

/** For load balancers, orchestrators and people. Open to all, so: no hostnames, no keys, nothing of any request. */
@ApiTags('operations')
@Public()
@Controller()
export class HealthController {
  constructor(
    private readonly checks: HealthChecks,
    private readonly history: HealthHistory,
    private readonly system: SystemReport,
    private readonly breakers: CircuitBreakerReport,
    private readonly drain: DrainState,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {}

  /** Asks nobody: a process that can answer this is alive. */
  @Get('health')
  @Header('Cache-Control', 'no-store')
  @ApiOperation({
    summary: 'Liveness: the process is running',
    description: 'Calls no dependency. Always 200.',
  })
  @ApiAnswer(examples.LIVENESS)
  live() {
    return {
      status: 'healthy',
      timestamp: new Date().toISOString(),
      version: this.config.version,
      uptime_seconds: Math.floor(process.uptime()),
    };
  }

  @Get('ready')
  @Header('Cache-Control', 'no-store')
  @ApiOperation({ summary: 'Readiness: this instance can take traffic now' })
  @ApiAnswer(examples.READY)
  @ApiAnswer(examples.NOT_READY, { status: 503, description: 'Draining, or a critical component is down.' })
  async ready(@Res({ passthrough: true }) response: Response) {
    const readiness = await this.checks.readiness();
    const checks = reportComponents(readiness.checks);
    if (readiness.ready) return { status: 'ready', draining: false, checks };
    response.status(HttpStatus.SERVICE_UNAVAILABLE).setHeader('Retry-After', '1');
    return { status: 'not_ready', draining: readiness.draining, checks, ...refusal(readiness).toEnvelope() };
  }

  @Get('health/detailed')
  @Header('Cache-Control', 'no-store')
  @ApiOperation({
    summary: 'Every component: status, latency, details',
    description:
      'A report, not a probe: always 200. Components are checked at most once a second, providers every 30 s.',
  })
  @ApiAnswer(examples.DETAILED)
  async detailed() {
    return detailedReport(await this.checks.everything(), this.config.version, this.drain.draining);
  }

  @Get('health/circuit-breakers')
  @Header('Cache-Control', 'no-store')
  @ApiOperation({ summary: 'State of each provider’s circuit breaker' })
  @ApiAnswer(examples.CIRCUIT_BREAKERS, { nullable: ['opened_at', 'next_attempt_at'] })
  circuitBreakers() {
    return { timestamp: new Date().toISOString(), circuit_breakers: this.breakers.current() };
  }

  @Get('health/system')
  @Header('Cache-Control', 'no-store')
  @ApiOperation({ summary: 'Resources of this process and its machine' })
  @ApiAnswer(examples.SYSTEM, { nullable: ['limit_bytes', 'percent', 'disk'] })
  systemReport() {
    return this.system.current();
  }

  @Get('health/history')
  @Header('Cache-Control', 'no-store')
  @ApiOperation({ summary: 'Results of the background check, newest first' })
  @ApiQuery({
    name: 'limit',
    required: false,
    description: `1 to ${HISTORY_LENGTH}, default ${DEFAULT_HISTORY}`,
    example: 10,
  })
  @ApiAnswer(examples.HISTORY)
  @ApiErrors(400)
  past(@Query('limit') limit: string | undefined) {
    const history = this.history.latest(historyLimit(limit));
    return { interval_seconds: HISTORY_INTERVAL_MS / 1000, count: history.length, history };
  }
}

function historyLimit(limit: unknown): number {
  if (limit === undefined) return DEFAULT_HISTORY;
  const wanted = typeof limit === 'string' && /^\d{1,6}$/.test(limit) ? Number(limit) : Number.NaN;
  if (wanted >= 1 && wanted <= HISTORY_LENGTH) return wanted;
  throw new GatewayError('invalid_query', `limit must be a whole number from 1 to ${HISTORY_LENGTH}.`, {
    param: 'limit',
  });
}

function refusal(readiness: Readiness): GatewayError {
  if (readiness.draining) return new GatewayError('draining', 'The gateway is shutting down.');
  const names = readiness.checks
    .filter(({ health }) => health.status === 'down')
    .map(({ probe }) => probe.name);
  return new GatewayError('database_unavailable', `Not ready: ${names.join(', ')} down.`);
}
