import { InvalidAmountError, type NanoUsd, parseAmount } from '@app/money';
import { applyDecorators } from '@nestjs/common';
import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { Transform } from 'class-transformer';
import {
  IsIn,
  IsInt,
  IsISO8601,
  IsNotEmpty,
  IsOptional,
  IsString,
  Matches,
  Max,
  MaxLength,
  Min,
  ValidateBy,
} from 'class-validator';
import { USER_ID } from '../../auth/principal.js';
import { TRANSACTION_ID } from '../transaction-id.js';

/** Rows in one answer. */
export const MOST_ROWS = 10_000;

/** A count in a query: digits only, so that `1e2`, ` 5` and an empty value are refused and not guessed. */
const toCount = Transform(({ value }: { value: unknown }) =>
  typeof value === 'string' && /^-?\d{1,15}$/.test(value) ? Number(value) : value,
);

/** A decimal, as a string or as a JSON number that is exact. */
function IsAmount(faultOf: (amountNano: NanoUsd) => string | undefined = faultOfZero): PropertyDecorator {
  const faultOfValue = (value: unknown): string | undefined => {
    try {
      return faultOf(parseAmount(value));
    } catch (error) {
      if (error instanceof InvalidAmountError) return error.message;
      throw error;
    }
  };
  return ValidateBy({
    name: 'isAmount',
    validator: {
      validate: (value: unknown) => faultOfValue(value) === undefined,
      defaultMessage: (checked) => faultOfValue(checked?.value) ?? '',
    },
  });
}

function faultOfZero(amountNano: NanoUsd): string | undefined {
  return amountNano === 0n ? 'amount must not be zero' : undefined;
}

function faultOfNegative(amountNano: NanoUsd): string | undefined {
  return amountNano < 0n ? 'amount must not be negative' : undefined;
}

/** The fault of the last rule is the one that is reported, so the kind comes after the range. */
function IsOffset(): PropertyDecorator {
  return applyDecorators(
    ApiPropertyOptional({ type: Number, default: 0, minimum: 0 }),
    IsOptional(),
    toCount,
    Min(0),
    Max(1_000_000_000),
    IsInt(),
  );
}

function IsLimit(
  maximum: number,
  told: { readonly default?: number; readonly description?: string },
): PropertyDecorator {
  return applyDecorators(
    ApiPropertyOptional({ type: Number, minimum: 1, maximum, ...told }),
    IsOptional(),
    toCount,
    Min(1),
    Max(maximum),
    IsInt(),
  );
}

function IsDescription(example: string): PropertyDecorator {
  return applyDecorators(
    ApiPropertyOptional({ type: String, example }),
    IsOptional(),
    MaxLength(500),
    IsString(),
  );
}

function IsFormat(): PropertyDecorator {
  return applyDecorators(
    ApiPropertyOptional({ enum: ['json', 'csv'], default: 'json' }),
    IsOptional(),
    IsIn(['json', 'csv']),
  );
}

function IsAfter(): PropertyDecorator {
  return applyDecorators(
    ApiPropertyOptional({
      type: String,
      description:
        'Continue after this entry, the last one of the previous page. Unlike `offset`, this returns no entry twice and ' +
        'does not get slower further down.',
    }),
    IsOptional(),
    Matches(TRANSACTION_ID, { message: 'after must be the id of a transaction' }),
  );
}

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

/** Without an example, which the page at /docs would send for an optional value. */
function IsTime(description: string): PropertyDecorator {
  return applyDecorators(
    ApiPropertyOptional({ type: String, description }),
    IsOptional(),
    IsISO8601({ strict: true }),
  );
}

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
