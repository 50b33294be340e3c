import fc from 'fast-check';
import { hostileJson, hostileKey, hostileText, type Json } from '../hostile-json.ts';
import type { ApiDocument, Schema } from './api-document.ts';

const MAX_DEPTH = 6;

/** Values that a schema allows, and now and then one that it does not. */
export function valuesOf(document: ApiDocument, given: Schema, depth = 0): fc.Arbitrary<unknown> {
  const schema = document.resolve(given);
  const right = rightValues(document, schema, depth);
  const { example } = schema;
  return fc.oneof(
    { weight: 10, arbitrary: right },
    { weight: example === undefined ? 0 : 6, arbitrary: fc.constant(example) },
    { weight: 1, arbitrary: hostileJson() },
  );
}

function rightValues(document: ApiDocument, schema: Schema, depth: number): fc.Arbitrary<unknown> {
  const inside = (child: Schema) => valuesOf(document, child, depth + 1);
  const choices = (schema['oneOf'] ?? schema['anyOf'] ?? schema['allOf']) as Schema[] | undefined;
  if (Array.isArray(schema['enum'])) return fc.constantFrom(...(schema['enum'] as unknown[]));
  if (choices !== undefined) return fc.oneof(...choices.map(inside));
  if (depth > MAX_DEPTH) return fc.constant(null);
  const types = [schema['type'] ?? 'any'].flat();
  return fc.oneof(...types.map((type) => ofType(String(type), schema, inside)));
}

function ofType(type: string, schema: Schema, inside: (child: Schema) => fc.Arbitrary<unknown>) {
  switch (type) {
    case 'null':
      return fc.constant(null);
    case 'boolean':
      return fc.boolean();
    case 'integer':
      return integers(schema);
    case 'number':
      return fc.oneof(integers(schema), fc.double({ noNaN: true, min: -10, max: 10 }));
    case 'string':
      return fc.oneof(fc.string({ unit: 'grapheme', maxLength: 30 }), hostileText());
    case 'array':
      return fc.array(inside((schema['items'] as Schema | undefined) ?? {}), { maxLength: 4 });
    case 'object':
      return objects(schema, inside);
    default:
      return hostileJson() as fc.Arbitrary<unknown>;
  }
}

function integers(schema: Schema): fc.Arbitrary<number> {
  const min = Number(schema['minimum'] ?? -5);
  const max = Number(schema['maximum'] ?? min + 5_000);
  return fc.oneof(fc.integer({ min, max }), fc.constantFrom(min - 1, min, max, max + 1));
}

function objects(schema: Schema, inside: (child: Schema) => fc.Arbitrary<unknown>) {
  const properties = (schema['properties'] ?? {}) as Record<string, Schema>;
  const required = (schema['required'] ?? []) as string[];
  const named = fc.record(
    Object.fromEntries(Object.entries(properties).map(([name, child]) => [name, inside(child)])),
    // An absent field says more than most values, so no field is wanted for sure but the required ones.
    { requiredKeys: required.filter((name) => Object.hasOwn(properties, name)) },
  );
  const more = fc.dictionary(hostileKey(), hostileJson(), { maxKeys: 2 });
  return fc
    .tuple(named, fc.oneof({ weight: 6, arbitrary: fc.constant({}) }, { weight: 1, arbitrary: more }))
    .map(([known, unknown]): object => ({ ...unknown, ...known }));
}

export type { Json };
