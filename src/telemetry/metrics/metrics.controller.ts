import { createHash, timingSafeEqual } from 'node:crypto';
import { GatewayError } from '@app/contracts';
import { Controller, Get, Headers, Inject, Res } from '@nestjs/common';
import { ApiOperation, ApiProduces, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';
import { Public } from '../../auth/public.decorator.js';
import { APP_CONFIG, type AppConfig } from '../../config/app-config.js';
import { MetricsText } from './metrics-text.js';

/** For Prometheus. Open by default, behind METRICS_TOKEN when that is set, absent with PROMETHEUS_ENABLED=false. */
@ApiTags('operations')
@Public()
@Controller('metrics')
export class MetricsController {
  readonly #token: string | undefined;
  readonly #enabled: boolean;

  constructor(
    private readonly metrics: MetricsText,
    @Inject(APP_CONFIG) config: AppConfig,
  ) {
    this.#enabled = config.observability.prometheusEnabled;
    this.#token = config.observability.metricsToken?.reveal();
  }

  @Get()
  @ApiOperation({ summary: 'Prometheus metrics of this instance (the sum over its workers)' })
  @ApiProduces('text/plain')
  @ApiResponse({
    status: 200,
    content: {
      'text/plain': { example: 'llm_requests_total{model="gpt-4",provider="openai",status="200"} 12' },
    },
  })
  @ApiResponse({ status: 401, description: 'METRICS_TOKEN is set and another or none was sent' })
  @ApiResponse({ status: 404, description: 'PROMETHEUS_ENABLED=false' })
  async scrape(
    @Headers('authorization') authorization: string | undefined,
    @Res() response: Response,
  ): Promise<void> {
    if (!this.#enabled) throw new GatewayError('not_found', 'There is no such route.');
    if (this.#token !== undefined) requireToken(authorization, this.#token);
    const text = await this.metrics.metricsText();
    response.setHeader('Content-Type', this.metrics.contentType);
    response.setHeader('Cache-Control', 'no-store');
    response.end(text);
  }
}

function requireToken(authorization: string | undefined, token: string): void {
  if (authorization === undefined)
    throw new GatewayError('missing_token', 'Metrics need `Authorization: Bearer <METRICS_TOKEN>`.');
  if (!equal(authorization, `Bearer ${token}`))
    throw new GatewayError('invalid_token', 'This is not the metrics token.');
}

/** Takes the same time whatever the difference. */
function equal(left: string, right: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(left), digest(right));
}
