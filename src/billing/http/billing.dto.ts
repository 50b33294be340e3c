import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsIn, IsNotEmpty, IsOptional, IsString, Matches, MaxLength } from 'class-validator';
import { USER_ID } from '../../auth/principal.js';
import {
  faultOfNegative,
  IsAfter,
  IsAmount,
  IsDescription,
  IsFormat,
  IsLimit,
  IsOffset,
  IsTime,
} from './dto-fields.js';

/** Rows in one answer. */
export const MOST_ROWS = 10_000;

export class PageQuery {
  @IsLimit(100, { default: 10 })
  limit = 10;

  @IsOffset()
  offset = 0;
}

export class TransactionsQuery extends PageQuery {
  @IsAfter()
  after?: string;
}

const FROM_30_DAYS =
  'Such as `2026-11-01`. Inclusive; UTC unless it names a time zone. Default: 30 days before `to`.';
const FROM_THE_FIRST =
  'Such as `2026-11-01`. Inclusive; UTC unless it names a time zone. Default: the very first.';
const TO =
  'Such as `2026-12-01`. Exclusive; UTC unless it names a time zone. Default: the end of today (UTC).';

export class PeriodQuery {
  @IsTime(FROM_30_DAYS)
  from?: string;

  @IsTime(TO)
  to?: string;
}

export class UsageQuery extends PeriodQuery {
  @ApiPropertyOptional({ enum: ['day', 'model'], default: 'day' })
  @IsOptional()
  @IsIn(['day', 'model'])
  group_by: 'day' | 'model' = 'day';
}

export class ReportQuery extends PeriodQuery {
  @ApiPropertyOptional({ enum: ['day', 'model', 'provider', 'user'], default: 'day' })
  @IsOptional()
  @IsIn(['day', 'model', 'provider', 'user'])
  group_by: 'day' | 'model' | 'provider' | 'user' = 'day';

  @IsFormat()
  format: 'json' | 'csv' = 'json';

  @IsLimit(MOST_ROWS, {
    description: 'Rows per page. Default: all rows, or an error if there are more than the maximum.',
  })
  limit?: number;

  @IsOffset()
  offset = 0;
}

const ENTRY_KINDS = ['grant', 'topup', 'charge', 'refund', 'adjustment'] as const;

/** Rows of everybody or of one user, as JSON or as CSV. */
class RowsQuery extends PeriodQuery {
  @ApiPropertyOptional({ type: String, description: 'Default: all users.' })
  @IsOptional()
  @Matches(USER_ID, { message: 'user_id must be a user id' })
  user_id?: string;

  @IsFormat()
  format: 'json' | 'csv' = 'json';

  @IsLimit(MOST_ROWS, { default: 100 })
  limit = 100;

  @IsOffset()
  offset = 0;
}

export class LedgerQuery extends RowsQuery {
  @IsAfter()
  after?: string;

  @ApiPropertyOptional({ enum: ENTRY_KINDS, description: 'Default: all.' })
  @IsOptional()
  @IsIn(ENTRY_KINDS)
  type?: (typeof ENTRY_KINDS)[number];
}

export class UnknownCostsQuery extends RowsQuery {
  @IsTime(FROM_THE_FIRST)
  override from?: string = undefined;

  @ApiPropertyOptional({ enum: ['true', 'false'], description: 'Default: both.' })
  @IsOptional()
  @IsIn(['true', 'false'])
  reconciled?: 'true' | 'false';

  @ApiPropertyOptional({ type: String, description: 'Default: all.' })
  @IsOptional()
  @IsString()
  @MaxLength(128)
  provider?: string;
}

export class UsersQuery extends PageQuery {
  @ApiPropertyOptional({ type: String, description: 'Part of the user id.' })
  @IsOptional()
  @IsString()
  @MaxLength(128)
  search = '';
}

export class UserParam {
  @ApiProperty({ type: String, example: 'alice' })
  @Matches(USER_ID, { message: 'id must be a user id' })
  id: string;
}

export class RequestParam {
  @ApiProperty({
    type: String,
    description: 'The x-request-id of the answer, or the billing_id of the receipt.',
  })
  @IsString()
  @IsNotEmpty()
  @MaxLength(128)
  request_id: string;
}

export const BOOKING_KEY = /^[\x21-\x7e]{1,255}$/;

export class BookingBody {
  @ApiProperty({ oneOf: [{ type: 'string' }, { type: 'number' }], example: '25.00' })
  @IsAmount()
  amount: string | number;

  @IsDescription('Invoice 2026-114')
  description?: string;

  @ApiPropertyOptional({
    type: String,
    example: 'invoice-2026-114',
    description: 'The same key is booked only once. Can also be sent as the header Idempotency-Key.',
  })
  @IsOptional()
  @IsString()
  @Matches(BOOKING_KEY, { message: 'idempotency_key must be 1 to 255 visible ASCII characters' })
  idempotency_key?: string;
}

export class RefundBody {
  @ApiPropertyOptional({
    oneOf: [{ type: 'string' }, { type: 'number' }],
    description: 'Default: the whole charge.',
  })
  @IsOptional()
  @IsAmount()
  amount?: string | number;

  @IsDescription('The provider returned an unusable answer.')
  description?: string;
}

export class UnknownCostParam {
  @ApiProperty({ type: String, description: 'The id from the list.' })
  @IsString()
  @MaxLength(128)
  id: string;
}

export class ReconcileBody {
  @ApiProperty({
    oneOf: [{ type: 'string' }, { type: 'number' }],
    example: '0.0123',
    description: 'What the provider billed; it is charged to the user. 0 writes the call off.',
  })
  @IsAmount(faultOfNegative)
  amount: string | number;

  @IsDescription('November invoice, line 12')
  description?: string;
}

/** Mismatches of each check that an audit shows at most. */
export const MOST_EXAMPLES = 100;

export class AuditQuery {
  @IsLimit(MOST_EXAMPLES, { default: 20, description: 'Maximum number of examples per check.' })
  examples = 20;
}
