import { parseAmount } from '@app/money';
import { Body, Controller, Get, HttpCode, Inject, Param, Post, Query, Res } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';
import { AdminOnly } from '../../auth/admin-only.decorator.js';
import { APP_CONFIG, type AppConfig } from '../../config/app-config.js';
import { ApiAnswer } from '../../docs/api-answer.decorator.js';
import { ApiErrors } from '../../docs/api-errors.decorator.js';
import { Context, type RequestContext, requirePrincipal } from '../../edge/request-context.js';
import { Telemetry } from '../../telemetry/telemetry.js';
import { type Reconciliation, UnknownCostsService } from '../unknown-costs/unknown-costs.service.js';
import { ReconcileBody, UnknownCostParam, UnknownCostsQuery } from './billing.dto.js';
import { RECONCILED_EXAMPLE, UNKNOWN_COST_NULLABLE, UNKNOWN_COSTS_EXAMPLE } from './billing.examples.js';
import { toPeriod } from './period.js';
import { sendCsv } from './send-csv.js';

const COLUMNS = [
  'timestamp',
  'id',
  'user_id',
  'request_id',
  'provider',
  'upstream_model',
  'provider_request_id',
  'reason',
  'reconciled_at',
  'amount',
  'currency',
  'description',
  'actor',
  'transaction_id',
] as const;

const BEFORE_ALL = '1970-01-01';

/** What providers may send a bill for and no user has paid. */
@ApiTags('admin')
@ApiBearerAuth('bearer')
@AdminOnly()
@Controller('admin/unknown-costs')
export class UnknownCostsController {
  constructor(
    private readonly unknownCosts: UnknownCostsService,
    private readonly telemetry: Telemetry,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {}

  @Get()
  @ApiOperation({ summary: 'Provider calls that were sent but not charged, newest first; JSON or CSV' })
  @ApiAnswer(UNKNOWN_COSTS_EXAMPLE, {
    nullable: UNKNOWN_COST_NULLABLE,
    orElse: { 'text/csv': { type: 'string' } },
  })
  @ApiErrors(400, 401, 403, 429, 503)
  async list(@Query() query: UnknownCostsQuery, @Res() response: Response): Promise<void> {
    const { user_id: userId, provider, limit, offset } = query;
    const isReconciled = query.reconciled === undefined ? undefined : query.reconciled === 'true';
    const period = toPeriod({ ...query, from: query.from ?? BEFORE_ALL });
    const filter = { isReconciled, userId, provider, period, limit, offset };
    const { unknown_costs, total } = await this.unknownCosts.list(filter);
    const { currency } = this.config.billing;
    response.setHeader('x-total-count', String(total));
    if (query.format === 'csv') {
      const table = unknown_costs.map((row) => ({ ...row, currency }));
      sendCsv(response, 'unknown-costs.csv', COLUMNS, table);
      return;
    }
    response.json({ currency, unknown_costs, total, limit, offset });
  }

  @Post(':id/reconcile')
  @HttpCode(200)
  @ApiOperation({ summary: 'Charge such a call to its user, or write it off with 0; possible only once' })
  @ApiAnswer(RECONCILED_EXAMPLE, { nullable: [...UNKNOWN_COST_NULLABLE, 'balance_after'] })
  @ApiErrors(400, 401, 403, 404, 409, 413, 415, 429, 503)
  async reconcile(
    @Context() context: RequestContext,
    @Param() { id }: UnknownCostParam,
    @Body() body: ReconcileBody,
  ): Promise<Reconciliation> {
    const actor = requirePrincipal(context).userId;
    const amountNano = parseAmount(body.amount);
    // `null` means "not set", as everywhere.
    const description = body.description ?? undefined;
    const reconciliation = await this.unknownCosts.reconcile({ id, amountNano, description, actor });
    this.telemetry.event({
      kind: 'admin-action',
      action: 'reconcile',
      actor,
      subject: reconciliation.user_id,
      requestId: context.requestId,
      clientAddress: context.clientAddress,
      details: {
        call: reconciliation.id,
        amount_nano: (-amountNano).toString(),
        description: reconciliation.description ?? '',
        ...(reconciliation.transaction_id !== null && { entry: reconciliation.transaction_id }),
        // The same again, which moved nothing.
        ...(reconciliation.replayed && { replayed: 'true' }),
      },
    });
    return reconciliation;
  }
}
