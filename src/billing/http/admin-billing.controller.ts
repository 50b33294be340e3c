import { GatewayError } from '@app/contracts';
import { exactJsonNumber, type ExactJsonNumber, parseAmount } from '@app/money';
import { Body, Controller, Get, HttpCode, Inject, Param, Post, Query, Res } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';
import { AdminOnly } from '../../auth/admin-only.decorator.js';
import { APP_CONFIG, type AppConfig } from '../../config/app-config.js';
import { ApiAnswer } from '../../docs/api-answer.decorator.js';
import { ApiErrors } from '../../docs/api-errors.decorator.js';
import { Context, type RequestContext, requirePrincipal } from '../../edge/request-context.js';
import { Telemetry } from '../../telemetry/telemetry.js';
import { AccountsService } from '../accounts/accounts.service.js';
import { type Booking, type BookingOrder, BookingsService } from '../bookings/bookings.service.js';
import { ReceiptsService } from '../reports/receipts.service.js';
import { ReportsService, type UserView } from '../reports/reports.service.js';
import { toCsv } from '../reports/to-csv.js';
import { type BalanceView, toBalanceView } from './balance-view.js';
import { BookingBody, RefundBody, ReportQuery, RequestParam, UserParam, UsersQuery } from './billing.dto.js';
import { BALANCE_EXAMPLE, BOOKING_EXAMPLE, REPORT_EXAMPLE } from './billing.examples.js';
import { toPeriod } from './period.js';

interface BookingView {
  readonly id: string;
  readonly user_id: string;
  readonly amount: ExactJsonNumber;
  readonly balance_after: ExactJsonNumber;
  readonly timestamp: string;
  readonly replayed: boolean;
}

const CSV_COLUMNS = [
  'key',
  'requests',
  'prompt_tokens',
  'completion_tokens',
  'charged',
  'refunded',
  'net',
] as const;

/** Everybody's money, for administrators. Every change is a ledger row and a line of the audit log. */
@ApiTags('admin')
@ApiBearerAuth('bearer')
@AdminOnly()
@Controller('admin')
export class AdminBillingController {
  constructor(
    private readonly accounts: AccountsService,
    private readonly bookings: BookingsService,
    private readonly reports: ReportsService,
    private readonly receipts: ReceiptsService,
    private readonly telemetry: Telemetry,
    @Inject(APP_CONFIG) private readonly config: AppConfig,
  ) {}

  @Post('users/:id/topups')
  @HttpCode(200)
  @ApiOperation({ summary: 'Credit an account; the same idempotency_key credits once' })
  @ApiAnswer(BOOKING_EXAMPLE)
  @ApiErrors(400, 401, 403, 413, 415, 422, 429, 503)
  topUp(
    @Context() context: RequestContext,
    @Param() { id }: UserParam,
    @Body() body: BookingBody,
  ): Promise<BookingView> {
    const amountNano = parseAmount(body.amount);
    if (amountNano < 0n) throw new GatewayError('invalid_body', 'A top-up is positive.', { param: 'amount' });
    return this.#book(context, id, 'topup', amountNano, body, 'Top-up');
  }

  @Post('users/:id/adjustments')
  @HttpCode(200)
  @ApiOperation({ summary: 'Correct an account, up or down; never below what is held' })
  @ApiAnswer({ ...BOOKING_EXAMPLE, amount: -1.5 })
  @ApiErrors(400, 401, 403, 413, 415, 422, 429, 503)
  adjust(
    @Context() context: RequestContext,
    @Param() { id }: UserParam,
    @Body() body: BookingBody,
  ): Promise<BookingView> {
    return this.#book(context, id, 'adjustment', parseAmount(body.amount), body, 'Adjustment');
  }

  @Post('requests/:request_id/refund')
  @HttpCode(200)
  @ApiOperation({ summary: 'Give a charge back, whole or in part, once' })
  @ApiAnswer(BOOKING_EXAMPLE)
  @ApiErrors(400, 401, 403, 404, 413, 415, 429, 503)
  async refund(
    @Context() context: RequestContext,
    @Param() { request_id }: RequestParam,
    @Body() body: RefundBody,
  ): Promise<BookingView> {
    const actor = requirePrincipal(context).userId;
    // `null` means "not set", as everywhere.
    const amountNano = body.amount == null ? undefined : parseAmount(body.amount);
    const receipt = await this.receipts.find(request_id, undefined);
    if (receipt.same_request_id.length > 0 && request_id !== receipt.billing_id) {
      const ids = [receipt.billing_id, ...receipt.same_request_id].join(', ');
      throw new GatewayError(
        'invalid_body',
        `Several requests carry this id; name one by its billing_id: ${ids}.`,
        {
          param: 'request_id',
        },
      );
    }
    const description = body.description ?? `Refund of ${request_id}`;
    const booking = await this.bookings.refund(receipt.billing_id, amountNano, description, actor);
    this.#audit(context, 'refund', booking, description);
    return toBookingView(booking);
  }

  @Get('users/:id/balance')
  @ApiOperation({ summary: 'Balance of one user' })
  @ApiAnswer(BALANCE_EXAMPLE)
  @ApiErrors(400, 401, 403, 404, 429, 503)
  async balance(@Param() { id }: UserParam): Promise<BalanceView> {
    const account = await this.accounts.find(id);
    if (!account) throw new GatewayError('not_found', 'This user was never seen.', { param: 'id' });
    return toBalanceView(account, this.config.billing.currency);
  }

  @Get('users')
  @ApiOperation({ summary: 'Accounts by user id' })
  @ApiAnswer({ users: [BALANCE_EXAMPLE], total: 1, limit: 10, offset: 0 })
  @ApiErrors(400, 401, 403, 429, 503)
  async users(
    @Query() { search, limit, offset }: UsersQuery,
  ): Promise<{ users: UserView[]; total: number; limit: number; offset: number }> {
    return { ...(await this.reports.users(search, limit, offset)), limit, offset };
  }

  @Get('reports')
  @ApiOperation({ summary: 'Spend of everybody by day, model, provider or user; JSON or CSV' })
  @ApiAnswer(REPORT_EXAMPLE, { orElse: { 'text/csv': { type: 'string' } } })
  @ApiErrors(400, 401, 403, 429, 503)
  async report(@Query() query: ReportQuery, @Res() response: Response): Promise<void> {
    const period = toPeriod(query);
    const rows = await this.reports.spend(query.group_by, period, undefined);
    if (query.format === 'csv') {
      const cells = rows.map((row) =>
        CSV_COLUMNS.map((column) => {
          const value = row[column];
          return typeof value === 'object' ? value.rawJSON : value;
        }),
      );
      response.type('text/csv').attachment(`spend-by-${query.group_by}.csv`).send(toCsv(CSV_COLUMNS, cells));
      return;
    }
    response.json({
      from: period.from.toISOString(),
      to: period.to.toISOString(),
      group_by: query.group_by,
      currency: this.config.billing.currency,
      rows,
    });
  }

  async #book(
    context: RequestContext,
    userId: string,
    kind: BookingOrder['kind'],
    amountNano: bigint,
    body: BookingBody,
    defaultDescription: string,
  ): Promise<BookingView> {
    const description = body.description ?? defaultDescription;
    const booking = await this.bookings.book({
      userId,
      kind,
      amountNano,
      description,
      idempotencyKey: body.idempotency_key,
      actor: requirePrincipal(context).userId,
    });
    this.#audit(context, kind, booking, description);
    return toBookingView(booking);
  }

  #audit(context: RequestContext, action: string, booking: Booking, description: string): void {
    this.telemetry.event({
      kind: 'admin-action',
      action,
      actor: requirePrincipal(context).userId,
      subject: booking.userId,
      requestId: context.requestId,
      clientAddress: context.clientAddress,
      details: { entry: booking.id, amount_nano: booking.amountNano.toString(), description },
    });
  }
}

function toBookingView(booking: Booking): BookingView {
  return {
    id: `txn_${booking.id.replaceAll('-', '')}`,
    user_id: booking.userId,
    amount: exactJsonNumber(booking.amountNano),
    balance_after: exactJsonNumber(booking.balanceAfterNano),
    timestamp: booking.createdAt.toISOString(),
    replayed: booking.isReplay,
  };
}
