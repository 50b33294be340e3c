/**
 * `nullable: true` -> `null` as one of the types, in place and at any depth. Nest's decorators write the first, which
 * OpenAPI 3.1 no longer knows; its schemas are JSON Schema.
 */
export function spellNullAsType(node: unknown): void {
  if (typeof node !== 'object' || node === null) return;
  const schema = node as Record<string, unknown>;
  if (schema['nullable'] === true) {
    delete schema['nullable'];
    if (typeof schema['type'] === 'string') schema['type'] = [schema['type'], 'null'];
    if (Array.isArray(schema['enum'])) schema['enum'] = [...(schema['enum'] as unknown[]), null];
    if (Array.isArray(schema['oneOf']))
      schema['oneOf'] = [...(schema['oneOf'] as unknown[]), { type: 'null' }];
    if (schema['allOf'] !== undefined || schema['$ref'] !== undefined) {
      const { allOf, $ref, ...rest } = schema;
      for (const name of Object.keys(schema)) delete schema[name];
      Object.assign(schema, rest, { oneOf: [allOf === undefined ? { $ref } : { allOf }, { type: 'null' }] });
    }
  }
  for (const child of Object.values(schema)) spellNullAsType(child);
}
