import { InvalidAmountError, parseAmount } from '@app/money';
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

const USER_ID = /^[A-Za-z0-9._:@|-]{1,128}$/;

/** Rows of a report that are given at once. */
export const MOST_ROWS = 10_000;

/** A count in a query: digits only, so that `1e2`, ` 5` and an empty value are refused and not guessed. */
const toCount = Transform(({ value }: { value: unknown }) =>
  typeof value === 'string' && /^-?\d{1,15}$/.test(value) ? Number(value) : value,
);

/** A decimal, as a string or as a JSON number that is exact. */
function IsAmount(): PropertyDecorator {
  return ValidateBy({
    name: 'isAmount',
    validator: {
      validate: (value: unknown) => faultOfAmount(value) === undefined,
      defaultMessage: (checked) => faultOfAmount(checked?.value) ?? '',
    },
  });
}

function faultOfAmount(value: unknown): string | undefined {
  try {
    return parseAmount(value) === 0n ? 'amount must not be zero' : undefined;
  } catch (error) {
    if (error instanceof InvalidAmountError) return error.message;
    throw error;
  }
}

function IsOffset(): PropertyDecorator {
  return applyDecorators(
    ApiPropertyOptional({ type: Number, default: 0, minimum: 0 }),
    IsOptional(),
    toCount,
    IsInt(),
    Min(0),
    Max(1_000_000_000),
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
    IsInt(),
    Min(1),
    Max(maximum),
  );
}

function IsFormat(): PropertyDecorator {
  return applyDecorators(
    ApiPropertyOptional({ enum: ['json', 'csv'], default: 'json' }),
    IsOptional(),
    IsIn(['json', 'csv']),
  );
}

export class PageQuery {
  @IsLimit(100, { default: 10 })
  limit = 10;

  @IsOffset()
  offset = 0;
}

export class PeriodQuery {
  @ApiPropertyOptional({
    type: String,
    example: '2026-11-01',
    description: 'Inclusive, UTC unless it names a zone; default 30 days before `to`.',
  })
  @IsOptional()
  @IsISO8601({ strict: true })
  from?: string;

  @ApiPropertyOptional({
    type: String,
    example: '2026-12-01',
    description: 'Exclusive, UTC unless it names a zone; default the end of today (UTC).',
  })
  @IsOptional()
  @IsISO8601({ strict: true })
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
    description: 'Rows of a page. Default: all of them, and an error when they are more than the maximum.',
  })
  limit?: number;

  @IsOffset()
  offset = 0;
}

const ENTRY_KINDS = ['grant', 'topup', 'charge', 'refund', 'adjustment'] as const;

export class LedgerQuery extends PeriodQuery {
  @ApiPropertyOptional({ type: String, example: 'alice', description: 'Default: everybody.' })
  @IsOptional()
  @Matches(USER_ID, { message: 'user_id must be a user id' })
  user_id?: string;

  @ApiPropertyOptional({ enum: ENTRY_KINDS, description: 'Default: all of them.' })
  @IsOptional()
  @IsIn(ENTRY_KINDS)
  type?: (typeof ENTRY_KINDS)[number];

  @IsFormat()
  format: 'json' | 'csv' = 'json';

  @IsLimit(MOST_ROWS, { default: 100 })
  limit = 100;

  @IsOffset()
  offset = 0;
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

  @ApiPropertyOptional({ type: String, example: 'Invoice 2026-114' })
  @IsOptional()
  @IsString()
  @MaxLength(500)
  description?: string;

  @ApiPropertyOptional({
    type: String,
    example: 'invoice-2026-114',
    description: 'The same key books once. Also as the header Idempotency-Key.',
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

  @ApiPropertyOptional({ type: String, example: 'The provider answered nonsense.' })
  @IsOptional()
  @IsString()
  @MaxLength(500)
  description?: string;
}

/** Mismatches of each check that an audit shows at most. */
export const MOST_EXAMPLES = 100;

export class AuditQuery {
  @IsLimit(MOST_EXAMPLES, { default: 20, description: 'Examples per check.' })
  examples = 20;
}
