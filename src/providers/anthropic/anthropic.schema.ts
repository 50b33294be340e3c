import { mapSubschemas, withoutSoleAllOf } from '../json-schema.js';
import { isObject, type JsonObject, textOf } from './anthropic.wire.js';

/** What the grammar behind a guaranteed format knows: Anthropic answers 400 for a schema that has more. */
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
 * A schema as OpenAI takes it -> one that Anthropic takes for guaranteed output, as its SDKs do it: objects are closed
 * where the schema says nothing of other properties, or lets any stand beside those that it names; `oneOf` is `anyOf`;
 * and what cannot be enforced is told to the model in the description.
 *
 * @see https://platform.claude.com/docs/en/build-with-claude/structured-outputs, read 2026-11-29
 */
export function toEnforceableSchema(given: JsonObject): JsonObject {
  const schema = withoutSoleAllOf(given);
  const kept: JsonObject = {};
  const told: string[] = [];
  for (const [name, value] of Object.entries(schema)) {
    if (name === '$schema') continue;
    if (isEnforced(name, value)) kept[enforceableName(name, schema)] = value;
    else told.push(`${name}: ${JSON.stringify(value)}`);
  }
  if (isOpenObject(kept)) kept.additionalProperties = false;
  if (told.length > 0) {
    const limits = `{${told.join(', ')}}`;
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
  // Without names of its own an object of any properties would become an empty one: that is Anthropic's to refuse.
  const letsAnyStand = (others === true || isEmptyObject(others)) && !isEmptyObject(schema.properties ?? {});
  return isOfObjects && (others === undefined || letsAnyStand);
}

function isEmptyObject(value: unknown): boolean {
  return isObject(value) && Object.keys(value).length === 0;
}
