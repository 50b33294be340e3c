import { applyDecorators } from '@nestjs/common';
import { ApiResponse } from '@nestjs/swagger';
import type { SchemaObject } from './chat-schemas.js';

interface AnswerOptions {
  readonly status?: number;
  readonly description?: string;
  /** Names of properties, at any depth, that can be `null`. */
  readonly nullable?: readonly string[];
  /** Names of properties at the top that can be absent. */
  readonly optional?: readonly string[];
  /** Other forms of the same answer: media type -> schema. */
  readonly orElse?: Readonly<Record<string, SchemaObject>>;
}

/**
 * Documents an answer by an example of it. What the example has at its top is there in every answer; further down it may
 * be missing, since there are maps (`providers`) among it. `null` and empty lists say nothing about a type.
 */
export function ApiAnswer(example: object, options: AnswerOptions = {}): MethodDecorator & ClassDecorator {
  const schema = schemaOf(example, new Set(options.nullable ?? []));
  schema.required = Object.keys(example).filter((name) => options.optional?.includes(name) !== true);
  const others = Object.entries(options.orElse ?? {}).map(
    ([type, other]) => [type, { schema: other }] as const,
  );
  return applyDecorators(
    ApiResponse({
      status: options.status ?? 200,
      description: options.description ?? 'Success.',
      content: { 'application/json': { schema, example }, ...Object.fromEntries(others) },
    }),
  );
}

function schemaOf(value: unknown, nullable: ReadonlySet<string>): SchemaObject {
  if (value === null) return {};
  if (Array.isArray(value)) {
    return { type: 'array', ...(value.length > 0 && { items: schemaOf(value[0], nullable) }) };
  }
  if (typeof value !== 'object') return { type: typeof value };
  const properties = Object.entries(value).map(([name, child]) => {
    const schema = schemaOf(child, nullable);
    return [name, nullable.has(name) ? { ...schema, nullable: true } : schema] as const;
  });
  return { type: 'object', properties: Object.fromEntries(properties) };
}
