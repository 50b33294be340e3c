import { mapSubschemas, withoutSoleAllOf } from '../translation/json-schema.js';
import { isObject, type JsonObject, textOf } from './anthropic.wire.js';

/** Keywords that structured outputs enforce: Anthropic answers 400 to a schema with others. */
const ENFORCED = new Set([
  'type',
  'enum',
  'const',
  'anyOf',
  'oneOf',
  'allOf',
  '$ref',
  '$defs',
  'definitions',
  'properties',
  'required',
  'additionalProperties',
  'items',
  'pattern',
  'default',
  'title',
  'description',
]);
const FORMATS = new Set([
  'date-time',
  'time',
  'date',
  'duration',
  'email',
  'hostname',
  'uri',
  'ipv4',
  'ipv6',
  'uuid',
]);

/**
 * A schema as OpenAI accepts it -> one that Anthropic accepts for structured outputs, translated as Anthropic's SDKs do it: objects
 * become closed if the schema does not mention further properties, or allows any beside those that it names; `oneOf` becomes
 * `anyOf`; and what cannot be enforced goes into the description for the model.
 *
 * @see https://platform.claude.com/docs/en/build-with-claude/structured-outputs, read 2026-11-29
 */
export function toEnforceableSchema(given: JsonObject): JsonObject {
  const schema = withoutSoleAllOf(given);
  const kept: JsonObject = {};
  const unenforced: string[] = [];
  for (const [name, value] of Object.entries(schema)) {
    if (name === '$schema') continue;
    if (isEnforced(name, value)) kept[enforceableName(name, schema)] = value;
    else unenforced.push(`${name}: ${JSON.stringify(value)}`);
  }
  if (isOpenObject(kept)) kept.additionalProperties = false;
  if (unenforced.length > 0) {
    const limits = `{${unenforced.join(', ')}}`;
    kept.description = [textOf(schema.description), limits].filter(Boolean).join('\n\n');
  }
  return mapSubschemas(kept, toEnforceableSchema);
}

function isEnforced(name: string, value: unknown): boolean {
  if (name === 'minItems') return value === 0 || value === 1;
  if (name === 'format') return FORMATS.has(textOf(value));
  return ENFORCED.has(name);
}

function enforceableName(name: string, schema: JsonObject): string {
  return name === 'oneOf' && schema.anyOf === undefined ? 'anyOf' : name;
}

function isOpenObject(schema: JsonObject): boolean {
  const types: unknown[] = Array.isArray(schema.type) ? schema.type : [schema.type];
  const isOfObjects = types.includes('object') || isObject(schema.properties);
  const { additionalProperties: others } = schema;
  // An object that names no properties would become an empty one when closed, so it is left for Anthropic to refuse.
  const letsAnyStand = (others === true || isEmptyObject(others)) && !isEmptyObject(schema.properties ?? {});
  return isOfObjects && (others === undefined || letsAnyStand);
}

function isEmptyObject(value: unknown): boolean {
  return isObject(value) && Object.keys(value).length === 0;
}
