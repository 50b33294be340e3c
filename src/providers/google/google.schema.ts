import { isObject, type JsonObject } from './google.wire.js';

const SUBSCHEMA = new Set(['items', 'additionalProperties']);
const SUBSCHEMA_LISTS = new Set(['anyOf', 'oneOf', 'allOf', 'prefixItems']);
const SUBSCHEMA_MAPS = new Set(['properties', '$defs', 'definitions']);

const DEFINITIONS = '#/definitions/';

/**
 * A JSON Schema as OpenAI takes it -> one that means the same to Gemini, which passes over the words that it does not know: `const`,
 * `allOf`, `definitions`, exclusive limits, and an `enum` without its type; beside a `$ref` it refuses them.
 *
 * @returns the schema itself where nothing is to be said otherwise
 * @see https://ai.google.dev/api/generate-content#FIELDS.response_json_schema, which lists the words;
 *      https://github.com/pydantic/pydantic-ai/issues/3610, https://github.com/BerriAI/litellm/pull/40415
 */
export function toGeminiSchema(schema: JsonObject): JsonObject {
  const { definitions, ...rest } = schema;
  if (!isObject(definitions) || schema.$defs !== undefined) return translated(schema, false);
  return translated({ ...rest, $defs: definitions }, true);
}

/** @param renamed  `definitions` are `$defs` */
function translated(schema: JsonObject, renamed: boolean): JsonObject {
  return inKnownWords(mapped(schema, (value, name) => subschemas(name, value, renamed)));
}

/** @returns the object itself where no value is another */
function mapped(object: JsonObject, better: (value: unknown, name: string) => unknown): JsonObject {
  let copy: JsonObject | undefined;
  for (const name in object) {
    const value = better(object[name], name);
    if (value !== object[name]) (copy ??= { ...object })[name] = value;
  }
  return copy ?? object;
}

function subschemas(name: string, value: unknown, renamed: boolean): unknown {
  if (name === '$ref') return renamed ? reference(value) : value;
  if (SUBSCHEMA_LISTS.has(name)) return Array.isArray(value) ? listOf(value, renamed) : value;
  if (SUBSCHEMA.has(name)) return translatedIfAny(value, renamed);
  if (!SUBSCHEMA_MAPS.has(name) || !isObject(value)) return value;
  return mapped(value, (schema) => translatedIfAny(schema, renamed));
}

function reference(value: unknown): unknown {
  return typeof value === 'string' && value.startsWith(DEFINITIONS)
    ? `#/$defs/${value.slice(DEFINITIONS.length)}`
    : value;
}

function listOf(list: unknown[], renamed: boolean): unknown[] {
  const better = list.map((value) => translatedIfAny(value, renamed));
  return better.some((value, at) => value !== list[at]) ? better : list;
}

/** `true` and `false` are schemas, too. */
function translatedIfAny(value: unknown, renamed: boolean): unknown {
  return isObject(value) ? translated(value, renamed) : value;
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

/** Gemini answers 400 when anything stands beside a `$ref` that does not begin with `$`. */
function referenceOnly(schema: JsonObject): JsonObject {
  const names = Object.keys(schema);
  const kept = names.filter((name) => name.startsWith('$'));
  return kept.length < names.length ? Object.fromEntries(kept.map((name) => [name, schema[name]])) : schema;
}

/** They may stand in both: nearer is what is said outside. */
const NOTES = new Set(['title', 'description', 'default', 'examples']);

/** Around one `$ref` it is how Pydantic noted something of it. */
function withoutSoleAllOf(schema: JsonObject): JsonObject {
  const { allOf, ...rest } = schema;
  const sole: unknown = Array.isArray(allOf) && allOf.length === 1 ? allOf[0] : undefined;
  if (!isObject(sole) || schema.type !== undefined || schema.properties !== undefined) return schema;
  const isInBoth = Object.keys(rest).some((name) => !NOTES.has(name) && sole[name] !== undefined);
  return isInBoth ? schema : { ...sole, ...rest };
}

function withoutConst(schema: JsonObject): JsonObject {
  const { const: only, ...rest } = schema;
  if (typeof only === 'object' && only !== null) return schema;
  return only === null ? { type: 'null', ...rest } : typed({ ...rest, enum: [only] }, [only]);
}

/** Without the type the values are passed over. Those of a boolean are not taken. */
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
