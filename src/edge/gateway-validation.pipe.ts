import { GatewayError } from '@app/contracts';
import { type ArgumentMetadata, Injectable, ValidationPipe } from '@nestjs/common';
import type { ValidationError } from 'class-validator';

/**
 * Validates and converts the DTOs of billing, admin and health routes: unknown fields are refused by name, so that a
 * misspelt `ammount` is an error and not a silent default, and no field can be set that the DTO does not name.
 */
@Injectable()
export class GatewayValidationPipe extends ValidationPipe {
  constructor() {
    super({ transform: true, whitelist: true, forbidNonWhitelisted: true });
  }

  override async transform(value: unknown, metadata: ArgumentMetadata): Promise<unknown> {
    refuseFlood(value, metadata);
    try {
      // A body that is not there is checked like an empty one; a single value (`@Query('limit')`) may be absent.
      const checked: unknown = await super.transform(
        metadata.data === undefined ? (value ?? {}) : value,
        metadata,
      );
      if (metadata.metatype !== Object) refuseNul(checked, metadata.type);
      return checked;
    } catch (error) {
      throw error instanceof Fault ? error.toGatewayError(metadata.type) : error;
    }
  }

  override createExceptionFactory() {
    return (faults: ValidationError[] = []): unknown => new Fault(faults);
  }
}

/** Far more than any DTO has. */
const MAX_VALUES = 200;

/**
 * class-transformer compares each key of an object with all the others: with some hundred thousand of them it holds
 * everybody up for half a minute, only for the first to be refused.
 */
function refuseFlood(value: unknown, { type, metatype }: ArgumentMetadata): void {
  if (metatype === Object || countValues(value, 0) <= MAX_VALUES) return;
  throw new GatewayError(
    codeFor(type),
    `There are more than ${MAX_VALUES} values, most of them not recognised.`,
  );
}

/** @returns `before` and the values in `value`, as far as it takes to see that there are too many */
function countValues(value: unknown, before: number): number {
  if (typeof value !== 'object' || value === null) return before;
  let values = before;
  for (const key in value) {
    values = countValues(Reflect.get(value, key), values + 1);
    if (values > MAX_VALUES) break;
  }
  return values;
}

/** What a DTO holds goes to PostgreSQL, which has no text with NUL in it. */
function refuseNul(dto: unknown, where: ArgumentMetadata['type']): void {
  if (typeof dto !== 'object' || dto === null) return;
  for (const [param, value] of Object.entries(dto)) {
    if (typeof value !== 'string' || !value.includes('\u0000')) continue;
    throw new GatewayError(codeFor(where), `${param} must not contain NUL.`, { param });
  }
}

/** What stands in the address, be it in the path, is no fault of the body. */
const codeFor = (where: ArgumentMetadata['type']) =>
  where === 'query' || where === 'param' ? 'invalid_query' : 'invalid_body';

class Fault extends Error {
  constructor(private readonly faults: readonly ValidationError[]) {
    super('validation');
  }

  toGatewayError(where: ArgumentMetadata['type']): GatewayError {
    const { param, message } = firstProblem(this.faults, '');
    return new GatewayError(codeFor(where), `${message}.`, { param });
  }
}

function firstProblem(
  faults: readonly ValidationError[],
  prefix: string,
): { param: string; message: string } {
  const fault = faults[0];
  const param = `${prefix}${fault?.property ?? ''}`;
  // Rules are met from the one nearest to the field upwards, so the last is the one written first: the field's type.
  const [rule, own] = Object.entries(fault?.constraints ?? {}).at(-1) ?? [];
  if (rule === 'whitelistValidation') return { param, message: `${param} is not recognised` };
  if (own !== undefined) return { param, message: own };
  if (fault?.children?.length) return firstProblem(fault.children, `${param}.`);
  return { param, message: `${param} is not valid` };
}
