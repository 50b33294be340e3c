import { GatewayError } from '@app/contracts';
import { exactJsonNumber, type ExactJsonNumber, parseAmount } from '@app/money';
import { Body, Controller, Get, Headers, HttpCode, Inject, Param, Post, Query } from '@nestjs/common';
import { ApiBearerAuth, ApiHeader, ApiOperation, ApiTags } from '@nestjs/swagger';
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
import { transactionId } from '../transaction-id.js';
import { type BalanceView, toBalanceView } from './balance-view.js';
import { BOOKING_KEY, BookingBody, RefundBody, RequestParam, UserParam, UsersQuery } from './billing.dto.js';
import { BALANCE_EXAMPLE, BOOKING_EXAMPLE } from './billing.examples.js';

interface BookingView {
  readonly id: string;
  readonly user_id: string;
  readonly amount: ExactJsonNumber;
  readonly balance_after: ExactJsonNumber;
  readonly timestamp: string;
  readonly replayed: boolean;
}

const KEY_HEADER = {
  name: 'Idempotency-Key',
  required: false,
  description: 'Alternative to idempotency_key in the body.',
};

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
  @ApiOperation({ summary: 'Credit an account; the same idempotency_key credits it only once' })
  @ApiHeader(KEY_HEADER)
  @ApiAnswer(BOOKING_EXAMPLE)
  @ApiErrors(400, 401, 403, 413, 415, 422, 429, 503)
  topUp(
    @Context() context: RequestContext,
    @Param() { id }: UserParam,
    @Body() body: BookingBody,
    @Headers('idempotency-key') key: string | undefined,
  ): Promise<BookingView> {
    const amountNano = parseAmount(body.amount);
    if (amountNano < 0n)
      throw new GatewayError('invalid_body', 'The amount of a top-up must be positive.', { param: 'amount' });
    return this.#book(context, id, 'topup', amountNano, withKey(body, key), 'Top-up');
  }

  @Post('users/:id/adjustments')
  @HttpCode(200)
  @ApiOperation({ summary: 'Adjust a balance, up or down, but never below what is held' })
  @ApiHeader(KEY_HEADER)
  @ApiAnswer({ ...BOOKING_EXAMPLE, amount: -1.5 })
  @ApiErrors(400, 401, 403, 413, 415, 422, 429, 503)
  adjust(
    @Context() context: RequestContext,
    @Param() { id }: UserParam,
    @Body() body: BookingBody,
    @Headers('idempotency-key') key: string | undefined,
  ): Promise<BookingView> {
    return this.#book(context, id, 'adjustment', parseAmount(body.amount), withKey(body, key), 'Adjustment');
  }

  @Post('requests/:request_id/refund')
  @HttpCode(200)
  @ApiOperation({ summary: 'Refund a charge in full or in part; possible only once' })
  @ApiAnswer(BOOKING_EXAMPLE)
  @ApiErrors(400, 401, 403, 404, 409, 413, 415, 429, 503)
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
      const message = `Several requests have this id. Use the billing_id of one of them: ${ids}.`;
      throw new GatewayError('invalid_body', message, { param: 'request_id' });
    }
    const description = body.description ?? `Refund of ${request_id}`;
    const booking = await this.bookings.refund(receipt.billing_id, amountNano, description, actor);
    this.#audit(context, 'refund', booking, description);
    return toBookingView(booking);
  }

  @Get('users/:id/balance')
  @ApiOperation({ summary: 'The balance of one user' })
  @ApiAnswer(BALANCE_EXAMPLE)
  @ApiErrors(400, 401, 403, 404, 429, 503)
  async balance(@Param() { id }: UserParam): Promise<BalanceView> {
    const account = await this.accounts.find(id);
    if (!account) throw new GatewayError('not_found', 'This user has no account yet.', { param: 'id' });
    return toBalanceView(account, this.config.billing.currency);
  }

  @Get('users')
  @ApiOperation({ summary: 'Accounts, sorted by user id' })
  @ApiAnswer({ users: [BALANCE_EXAMPLE], total: 1, limit: 10, offset: 0 })
  @ApiErrors(400, 401, 403, 429, 503)
  async users(
    @Query() { search, limit, offset }: UsersQuery,
  ): Promise<{ users: UserView[]; total: number; limit: number; offset: number }> {
    return { ...(await this.reports.users(search, limit, offset)), limit, offset };
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
      details: {
        entry: booking.id,
        amount_nano: booking.amountNano.toString(),
        description,
        // The same again, which moved nothing.
        ...(booking.isReplay && { replayed: 'true' }),
      },
    });
  }
}

function toBookingView(booking: Booking): BookingView {
  return {
    id: transactionId(booking.id),
    user_id: booking.userId,
    amount: exactJsonNumber(booking.amountNano),
    balance_after: exactJsonNumber(booking.balanceAfterNano),
    timestamp: booking.createdAt.toISOString(),
    replayed: booking.isReplay,
  };
}

/** The key may come as a header, as for completions: if that were ignored, a repetition would book twice. */
function withKey(body: BookingBody, key: string | undefined): BookingBody {
  if (key === undefined) return body;
  const fault =
    (!BOOKING_KEY.test(key) && 'Idempotency-Key must be 1 to 255 visible ASCII characters.') ||
    (body.idempotency_key != null &&
      body.idempotency_key !== key &&
      'Idempotency-Key and the idempotency_key of the body differ. Send the same key, or only one of them.');
  if (fault) throw new GatewayError('invalid_body', fault, { param: 'Idempotency-Key' });
  return { ...body, idempotency_key: key };
}
