import { createHash, timingSafeEqual } from 'node:crypto';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { GatewayError } from '@app/contracts';
import { Controller, Get, Inject, Req, Res } from '@nestjs/common';
import { ApiOperation, ApiProduces, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { Request, Response } from 'express';
import { Public } from '../../auth/public.decorator.js';
import { APP_CONFIG, type AppConfig } from '../../config/app-config.js';
import { ApiErrors } from '../../docs/api-errors.decorator.js';
import { Telemetry } from '../telemetry.js';
import { MetricsText } from './metrics-text.js';
import { inShortTurns } from './short-turns.js';

/** For Prometheus. Open by default, behind METRICS_TOKEN when that is set, absent with PROMETHEUS_ENABLED=false. */
@ApiTags('operations')
@Public()
@Controller('metrics')
export class MetricsController {
  readonly #token: string | undefined;
  readonly #enabled: boolean;

  constructor(
    private readonly metrics: MetricsText,
    private readonly telemetry: Telemetry,
    @Inject(APP_CONFIG) config: AppConfig,
  ) {
    this.#enabled = config.observability.prometheusEnabled;
    this.#token = config.observability.metricsToken?.reveal();
  }

  @Get()
  @ApiOperation({
    summary: 'Prometheus metrics of this instance (the sum over its workers)',
    description: '401 without the METRICS_TOKEN if one is set; 404 with PROMETHEUS_ENABLED=false.',
  })
  @ApiProduces('text/plain')
  @ApiResponse({
    status: 200,
    content: {
      'text/plain': {
        schema: { type: 'string' },
        example: 'llm_requests_total{model="gpt-4",provider="openai",status="200"} 12',
      },
    },
  })
  @ApiErrors(401, 404)
  async scrape(@Req() request: Request, @Res() response: Response): Promise<void> {
    if (!this.#enabled)
      throw new GatewayError('not_found', 'Metrics are disabled (PROMETHEUS_ENABLED=false).');
    if (this.#token !== undefined) this.#requireToken(request, this.#token);
    const texts = await this.metrics.texts();
    response.setHeader('Content-Type', this.metrics.contentType);
    response.setHeader('Cache-Control', 'no-store');
    // Who leaves before the end gets no more of it.
    await pipeline(Readable.from(inShortTurns(texts)), response).catch(() => undefined);
  }

  #requireToken(request: Request, token: string): void {
    const { authorization } = request.headers;
    if (authorization !== undefined && equal(authorization, `Bearer ${token}`)) return;
    const refused =
      authorization === undefined
        ? new GatewayError('missing_token', 'Metrics require `Authorization: Bearer <METRICS_TOKEN>`.')
        : new GatewayError('invalid_token', 'This is not the metrics token.');
    const { requestId, clientAddress } = request.gateway;
    const { method, path } = request;
    const code = refused.code;
    this.telemetry.event({
      kind: 'auth-failure',
      code,
      method,
      path,
      requestId,
      clientAddress,
      userId: undefined,
    });
    throw refused;
  }
}

/** Takes the same time whatever the difference. */
function equal(left: string, right: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(left), digest(right));
}
