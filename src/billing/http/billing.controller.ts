import { Controller, Get, Inject, Param, Query } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import { APP_CONFIG, type AppConfig } from '../../config/app-config.js';
import { ApiAnswer } from '../../docs/api-answer.decorator.js';
import { ApiErrors } from '../../docs/api-errors.decorator.js';
import { Context, type RequestContext, requirePrincipal } from '../../edge/request-context.js';
import { Telemetry } from '../../telemetry/telemetry.js';
import { AccountsService } from '../accounts/accounts.service.js';
import { type Receipt, ReceiptsService } from '../reports/receipts.service.js';
import { ReportsService, type SpendView, type TransactionView } from '../reports/reports.service.js';
import { Settler } from '../settle/settler.service.js';
import { type BalanceView, toBalanceView } from './balance-view.js';
import { MOST_ROWS, RequestParam, TransactionsQuery, UsageQuery } from './billing.dto.js';
import {
  BALANCE_EXAMPLE,
  RECEIPT_EXAMPLE,
  RECEIPT_NULLABLE,
  TRANSACTIONS_EXAMPLE,
  USAGE_EXAMPLE,
} from './billing.examples.js';
import { toPeriod } from './period.js';

/** The caller's own money. */
@ApiTags('billing')
@ApiBearerAuth('bearer')
@Controller(['billing', 'openai/v1/billing'])
export class BillingController {
  constructor(
    private readonly accounts: AccountsService,
    private readonly reports: ReportsService,
    private readonly receipts: ReceiptsService,
    private readonly settler: Settler,
    private readonly telemetry: Telemetry,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {}

  @Get('balance')
  @ApiOperation({ summary: 'Your balance, what is held for requests in flight, and what is available' })
  @ApiAnswer(BALANCE_EXAMPLE)
  @ApiErrors(401, 429, 503)
  async balance(@Context() context: RequestContext): Promise<BalanceView> {
    const { userId } = requirePrincipal(context);
    await this.settler.drain({ userId });
    const account = await this.accounts.require(userId);
    this.telemetry.event({ kind: 'balance', userId, balanceNanoUsd: account.balanceNano });
    return toBalanceView(account, this.config.billing.currency);
  }

  @Get('transactions')
  @ApiOperation({ summary: 'Your ledger, newest first' })
  @ApiAnswer(TRANSACTIONS_EXAMPLE, {
    nullable: ['request_id', 'model', 'provider', 'prompt_tokens', 'completion_tokens', 'price'],
  })
  @ApiErrors(400, 401, 429, 503)
  async transactions(
    @Context() context: RequestContext,
    @Query() { limit, offset, after }: TransactionsQuery,
  ): Promise<{ user_id: string; transactions: TransactionView[]; limit: number; offset: number }> {
    const { userId } = requirePrincipal(context);
    await this.accounts.require(userId);
    return {
      user_id: userId,
      transactions: await this.reports.transactions(userId, { limit, offset, after }),
      limit,
      offset,
    };
  }

  @Get('usage')
  @ApiOperation({ summary: 'Your requests, tokens and spend by day or model' })
  @ApiAnswer(USAGE_EXAMPLE)
  @ApiErrors(400, 401, 429, 503)
  async usage(
    @Context() context: RequestContext,
    @Query() query: UsageQuery,
  ): Promise<{ user_id: string; from: string; to: string; group_by: string; usage: SpendView[] }> {
    const { userId } = requirePrincipal(context);
    const period = toPeriod(query);
    const { rows } = await this.reports.spend(query.group_by, period, userId, {
      limit: MOST_ROWS,
      offset: 0,
    });
    return {
      user_id: userId,
      from: period.from.toISOString(),
      to: period.to.toISOString(),
      group_by: query.group_by,
      usage: rows,
    };
  }

  @Get('requests/:request_id')
  @ApiOperation({ summary: 'The receipt of one request: attempts, tokens × prices, hold, settlement' })
  @ApiAnswer(RECEIPT_EXAMPLE, { nullable: RECEIPT_NULLABLE })
  @ApiErrors(400, 401, 404, 429, 503)
  receipt(@Context() context: RequestContext, @Param() { request_id }: RequestParam): Promise<Receipt> {
    const { userId, role } = requirePrincipal(context);
    return this.receipts.find(request_id, role === 'admin' ? undefined : userId);
  }
}
