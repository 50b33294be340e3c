import { readFileSync } from 'node:fs';
import { Controller, Get, Header, Inject, NotFoundException, Param, Res } from '@nestjs/common';
import { ApiBearerAuth, ApiExcludeEndpoint, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';
import { AdminOnly } from '../auth/admin-only.decorator.js';
import { Public } from '../auth/public.decorator.js';
import { APP_CONFIG, type AppConfig } from '../config/app-config.js';
import { ApiAnswer } from '../docs/api-answer.decorator.js';
import { ApiErrors } from '../docs/api-errors.decorator.js';
import { MetricsText } from '../telemetry/metrics/metrics-text.js';
import { inShortTurns } from '../telemetry/metrics/short-turns.js';
import { buildSummary, isOfSummary } from './build-summary.js';
import { SUMMARY_EXAMPLE } from './summary.example.js';
import { parseMetricsText, type Sample } from './parse-metrics-text.js';

/** What the page consists of. The scripts are compiled like the rest of the program, and run in the browser. */
const ASSETS: Readonly<Record<string, string>> = {
  'ops.css': 'text/css; charset=utf-8',
  ...Object.fromEntries(
    ['ops', 'views', 'tables', 'problems', 'traffic-window', 'answers', 'complete', 'figures'].map(
      (script) => [`${script}.js`, 'text/javascript; charset=utf-8'],
    ),
  ),
};

/** The page for whoever runs the gateway. It holds no data: it asks the API with the admin token that is pasted into it. */
@ApiTags('operations')
@Controller()
export class OpsController {
  readonly #files = new Map<string, string>();

  constructor(
    private readonly metrics: MetricsText,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {}

  @Public()
  @Get('ops')
  @Header('Content-Type', 'text/html; charset=utf-8')
  @Header('Cache-Control', 'no-cache')
  @ApiExcludeEndpoint()
  page(): string {
    return this.#read('ops.html');
  }

  @Public()
  @Get('ops/:asset')
  @Header('Cache-Control', 'no-cache')
  @ApiExcludeEndpoint()
  asset(@Param('asset') name: string, @Res() response: Response): void {
    const type = Object.hasOwn(ASSETS, name) ? ASSETS[name] : undefined;
    if (type === undefined) throw new NotFoundException();
    response.setHeader('Content-Type', type);
    response.end(this.#read(name));
  }

  @AdminOnly()
  @Get('admin/ops/summary')
  @Header('Cache-Control', 'no-store')
  @ApiBearerAuth('bearer')
  @ApiOperation({ summary: 'Traffic, spend and alarms of this instance since startup (admin)' })
  @ApiAnswer(SUMMARY_EXAMPLE, { description: 'Running totals; all zero with PROMETHEUS_ENABLED=false.' })
  @ApiErrors(401, 403, 429, 503)
  async summary() {
    return {
      timestamp: new Date().toISOString(),
      version: this.config.version,
      environment: this.config.environment,
      currency: this.config.billing.currency,
      uptime_seconds: Math.floor(process.uptime()),
      ...buildSummary(await this.#samples()),
    };
  }

  /** Hundreds of models make tens of thousands of lines: no turn of the event loop is spent on all of them. */
  async #samples(): Promise<Sample[]> {
    const samples: Sample[] = [];
    for await (const text of inShortTurns(await this.metrics.texts())) {
      for (const sample of parseMetricsText(text)) if (isOfSummary(sample)) samples.push(sample);
    }
    return samples;
  }

  #read(name: string): string {
    const known = this.#files.get(name);
    if (known !== undefined) return known;
    const content = readFileSync(new URL(`./page/${name}`, import.meta.url), 'utf8');
    this.#files.set(name, content);
    return content;
  }
}
