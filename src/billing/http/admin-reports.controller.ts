import { GatewayError } from '@app/contracts';
import { Controller, Get, Inject, Query, Res } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';
import { AdminOnly } from '../../auth/admin-only.decorator.js';
import { APP_CONFIG, type AppConfig } from '../../config/app-config.js';
import { ApiAnswer } from '../../docs/api-answer.decorator.js';
import { ApiErrors } from '../../docs/api-errors.decorator.js';
import { ReportsService } from '../reports/reports.service.js';
import { LedgerQuery, MOST_ROWS, ReportQuery } from './billing.dto.js';
import { ENTRIES_EXAMPLE, REPORT_EXAMPLE } from './billing.examples.js';
import { toPeriod } from './period.js';
import { sendCsv } from './send-csv.js';

const SPEND_COLUMNS = [
  'key',
  'requests',
  'prompt_tokens',
  'completion_tokens',
  'charged',
  'refunded',
  'net',
  'currency',
] as const;

const ENTRY_COLUMNS = [
  'timestamp',
  'id',
  'user_id',
  'type',
  'amount',
  'balance_after',
  'currency',
  'description',
  'request_id',
  'model',
  'provider',
  'prompt_tokens',
  'completion_tokens',
  'actor',
  'idempotency_key',
] as const;

/** What the books say, for those who keep them: sums, and every entry behind them. */
@ApiTags('admin')
@ApiBearerAuth('bearer')
@AdminOnly()
@Controller('admin')
export class AdminReportsController {
  constructor(
    private readonly reports: ReportsService,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {}

  @Get('reports')
  @ApiOperation({ summary: 'Spend of all users by day, model, provider or user; JSON or CSV' })
  @ApiAnswer(REPORT_EXAMPLE, { orElse: { 'text/csv': { type: 'string' } } })
  @ApiErrors(400, 401, 403, 429, 503)
  async report(@Query() query: ReportQuery, @Res() response: Response): Promise<void> {
    const period = toPeriod(query);
    const { currency } = this.config.billing;
    const { group_by, offset, limit = MOST_ROWS } = query;
    const { rows, total } = await this.reports.spend(group_by, period, undefined, { limit, offset });
    if (query.limit === undefined && total - offset > MOST_ROWS) {
      // Sums over a report that was cut without a word would be wrong.
      const message = `The report has ${total} rows, more than ${MOST_ROWS}. Request it in pages, with limit and offset.`;
      throw new GatewayError('invalid_query', message, { param: 'limit' });
    }
    response.setHeader('x-total-count', String(total));
    if (query.format === 'csv') {
      const table = rows.map((row) => ({ ...row, currency }));
      sendCsv(response, `spend-by-${group_by}.csv`, SPEND_COLUMNS, table);
      return;
    }
    response.json({
      from: period.from.toISOString(),
      to: period.to.toISOString(),
      group_by,
      currency,
      rows,
      total,
      limit,
      offset,
    });
  }

  @Get('transactions')
  @ApiOperation({ summary: 'The ledger of all users or of one user, newest first; JSON or CSV' })
  @ApiAnswer(ENTRIES_EXAMPLE, {
    nullable: [
      'request_id',
      'model',
      'provider',
      'prompt_tokens',
      'completion_tokens',
      'price',
      'actor',
      'idempotency_key',
    ],
    orElse: { 'text/csv': { type: 'string' } },
  })
  @ApiErrors(400, 401, 403, 429, 503)
  async transactions(@Query() query: LedgerQuery, @Res() response: Response): Promise<void> {
    const period = toPeriod(query);
    const { currency } = this.config.billing;
    const { user_id: userId, type: kind, limit, offset, after } = query;
    const entries = await this.reports.entries({ userId, kind, period, after, limit, offset });
    if (query.format === 'csv') {
      const table = entries.map((entry) => ({ ...entry, currency }));
      sendCsv(response, 'transactions.csv', ENTRY_COLUMNS, table);
      return;
    }
    response.json({
      from: period.from.toISOString(),
      to: period.to.toISOString(),
      currency,
      transactions: entries,
      limit,
      offset,
    });
  }
}
