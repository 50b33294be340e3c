import { isObject, type JsonObject } from './json-object.js';

const SUBSCHEMA = new Set(['items', 'additionalProperties']);
const SUBSCHEMA_LISTS = new Set(['anyOf', 'oneOf', 'allOf', 'prefixItems']);
const SUBSCHEMA_MAPS = new Set(['properties', '$defs', 'definitions']);

/**
 * A JSON Schema with another one in the place of each schema directly inside it. `true` and `false` stay what they are.
 *
 * @returns the schema itself where nothing changes
 */
export function mapSubschemas(schema: JsonObject, change: (inner: JsonObject) => JsonObject): JsonObject {
  const changed = (value: unknown): unknown => (isObject(value) ? change(value) : value);
  return mapped(schema, (value, name) => {
    if (SUBSCHEMA.has(name)) return changed(value);
    if (SUBSCHEMA_LISTS.has(name)) return Array.isArray(value) ? mappedList(value, changed) : value;
    return SUBSCHEMA_MAPS.has(name) && isObject(value) ? mapped(value, changed) : value;
  });
}

function mapped(object: JsonObject, change: (value: unknown, name: string) => unknown): JsonObject {
  let copy: JsonObject | undefined;
  for (const name in object) {
    const value = change(object[name], name);
    if (value !== object[name]) (copy ??= { ...object })[name] = value;
  }
  return copy ?? object;
}

function mappedList(list: unknown[], change: (value: unknown) => unknown): unknown[] {
  const changed = list.map(change);
  return changed.some((value, at) => value !== list[at]) ? changed : list;
}

/** Annotations may stand inside and outside: the outer one is nearer. */
const ANNOTATIONS = new Set(['title', 'description', 'default', 'examples']);

/** Pydantic wraps a `$ref` in an `allOf` of one where it adds an annotation. Neither vendor understands that. */
export function withoutSoleAllOf(schema: JsonObject): JsonObject {
  const { allOf, ...rest } = schema;
  const sole: unknown = Array.isArray(allOf) && allOf.length === 1 ? allOf[0] : undefined;
  if (!isObject(sole)) return schema;
  const clashes = Object.keys(rest).some((name) => Object.hasOwn(sole, name) && !ANNOTATIONS.has(name));
  return clashes ? schema : { ...sole, ...rest };
}
