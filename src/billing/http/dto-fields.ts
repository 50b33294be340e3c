import { InvalidAmountError, type NanoUsd, parseAmount } from '@app/money';
import { applyDecorators } from '@nestjs/common';
import { ApiPropertyOptional } from '@nestjs/swagger';
import { Transform } from 'class-transformer';
import {
  IsIn,
  IsInt,
  IsISO8601,
  IsOptional,
  IsString,
  Matches,
  Max,
  MaxLength,
  Min,
  ValidateBy,
} from 'class-validator';
import { TRANSACTION_ID } from '../transaction-id.js';

/** A count in a query: digits only, so that `1e2`, ` 5` and an empty value are refused and not guessed. */
const toCount = Transform(({ value }: { value: unknown }) =>
  typeof value === 'string' && /^-?\d{1,15}$/.test(value) ? Number(value) : value,
);

/** A decimal, as a string or as a JSON number that is exact. */
export function IsAmount(
  faultOf: (amountNano: NanoUsd) => string | undefined = faultOfZero,
): PropertyDecorator {
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

export function faultOfNegative(amountNano: NanoUsd): string | undefined {
  return amountNano < 0n ? 'amount must not be negative' : undefined;
}

/** The fault of the last rule is the one that is reported, so the kind comes after the range. */
export function IsOffset(): PropertyDecorator {
  return applyDecorators(
    ApiPropertyOptional({ type: Number, default: 0, minimum: 0 }),
    IsOptional(),
    toCount,
    Min(0),
    Max(1_000_000_000),
    IsInt(),
  );
}

export function IsLimit(
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

export function IsDescription(example: string): PropertyDecorator {
  return applyDecorators(
    ApiPropertyOptional({ type: String, example }),
    IsOptional(),
    MaxLength(500),
    IsString(),
  );
}

export function IsFormat(): PropertyDecorator {
  return applyDecorators(
    ApiPropertyOptional({ enum: ['json', 'csv'], default: 'json' }),
    IsOptional(),
    IsIn(['json', 'csv']),
  );
}

export function IsAfter(): PropertyDecorator {
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

/** Without an example, which the page at /docs would send for an optional value. */
export function IsTime(description: string): PropertyDecorator {
  return applyDecorators(
    ApiPropertyOptional({ type: String, description }),
    IsOptional(),
    IsISO8601({ strict: true }),
  );
}
