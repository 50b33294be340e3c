import { mapSubschemas, withoutSoleAllOf } from '../translation/json-schema.js';
import { isObject, type JsonObject } from './google.wire.js';

const DEFINITIONS = '#/definitions/';

/**
 * A JSON Schema as OpenAI accepts it -> one that means the same to Gemini, which ignores unknown keywords: `const`, `allOf`,
 * `definitions`, exclusive limits, and an `enum` without a type. Beside a `$ref` it refuses them.
 *
 * @returns the schema itself if nothing changes
 * @see https://ai.google.dev/api/generate-content#FIELDS.response_json_schema, which lists the words;
 *      https://github.com/pydantic/pydantic-ai/issues/3610, https://github.com/BerriAI/litellm/pull/40415
 */
export function toGeminiSchema(schema: JsonObject): JsonObject {
  const { definitions, ...rest } = schema;
  if (!isObject(definitions) || schema.$defs !== undefined) return translated(schema, false);
  return translated({ ...rest, $defs: definitions }, true);
}

/** @param renamed  `definitions` have become `$defs` */
function translated(schema: JsonObject, renamed: boolean): JsonObject {
  const inner = mapSubschemas(schema, (subschema) => translated(subschema, renamed));
  return inKnownWords(renamed ? withDefsReference(inner) : inner);
}

function withDefsReference(schema: JsonObject): JsonObject {
  const reference = schema.$ref;
  return typeof reference === 'string' && reference.startsWith(DEFINITIONS)
    ? { ...schema, $ref: `#/$defs/${reference.slice(DEFINITIONS.length)}` }
    : schema;
}

function inKnownWords(schema: JsonObject): JsonObject {
  if (typeof schema.$ref === 'string') return referenceOnly(schema);
  const joined = withoutSoleAllOf(schema);
  if (joined !== schema) return inKnownWords(joined);
  if (schema.const !== undefined) return withoutConst(schema);
  if (Array.isArray(schema.enum) && (schema.type === undefined || schema.type === 'boolean'))
    return typed(schema, schema.enum);
  return schema.type === 'integer' ? withInclusiveLimits(schema) : schema;
}

/** Gemini answers 400 to any keyword beside a `$ref`, except those that begin with `$`. */
function referenceOnly(schema: JsonObject): JsonObject {
  const names = Object.keys(schema);
  const kept = names.filter((name) => name.startsWith('$'));
  return kept.length < names.length ? Object.fromEntries(kept.map((name) => [name, schema[name]])) : schema;
}

function withoutConst(schema: JsonObject): JsonObject {
  const { const: only, ...rest } = schema;
  if (typeof only === 'object' && only !== null) return schema;
  return only === null ? { type: 'null', ...rest } : typed({ ...rest, enum: [only] }, [only]);
}

/** Without a type, Gemini ignores the values. It does not accept the values of a boolean. */
function typed(schema: JsonObject, values: readonly unknown[]): JsonObject {
  const types = new Set(values.map(typeOf));
  if (types.has('number')) types.delete('integer');
  const [type, ...others] = types;
  if (type === undefined || others.length > 0) return schema;
  const { enum: _values, ...rest } = schema;
  return type === 'boolean' ? { type, ...rest } : { type, ...schema };
}

function typeOf(value: unknown): string | undefined {
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value === 'string' || typeof value === 'boolean' ? typeof value : undefined;
}

function withInclusiveLimits(schema: JsonObject): JsonObject {
  const { exclusiveMinimum: above, exclusiveMaximum: below, ...rest } = schema;
  if (typeof above !== 'number' && typeof below !== 'number') return schema;
  const { minimum = -Infinity, maximum = Infinity } = rest;
  if (typeof above === 'number') rest.minimum = Math.max(Math.floor(above) + 1, Number(minimum));
  if (typeof below === 'number') rest.maximum = Math.min(Math.ceil(below) - 1, Number(maximum));
  return rest;
}
