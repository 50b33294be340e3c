const MAX_DEPTH = 8;

type Schema = Record<string, unknown>;

/**
 * A value that fits a JSON Schema, the same one each time; texts are `text`. Knows what tools usually use: types, `enum`,
 * `const`, `default`, `anyOf`/`oneOf`/`allOf`, `$ref` inside the schema, lengths and minima. No validator.
 */
export function sampleSchema(schema: unknown, text: string): unknown {
  const root = asSchema(schema);
  return sample(root, { root, text, depth: 0 });
}

interface Sampling {
  readonly root: Schema;
  readonly text: string;
  readonly depth: number;
}

function sample(schema: Schema, sampling: Sampling): unknown {
  if (sampling.depth > MAX_DEPTH) return null;
  const deeper = { ...sampling, depth: sampling.depth + 1 };
  if (schema.const !== undefined) return schema.const;
  if (Array.isArray(schema.enum)) return schema.enum[0];
  if (schema.default !== undefined) return schema.default;
  if (typeof schema.$ref === 'string') return sample(resolve(schema.$ref, sampling.root), deeper);
  const [option] = [schema.anyOf, schema.oneOf].filter(Array.isArray).flat();
  if (option !== undefined) return sample(asSchema(option), deeper);
  if (Array.isArray(schema.allOf)) return sample(Object.assign({}, ...schema.allOf.map(asSchema)), deeper);
  return sampleType(schema, typeOf(schema), deeper);
}

function sampleType(schema: Schema, type: string, sampling: Sampling): unknown {
  switch (type) {
    case 'object':
      return sampleObject(schema, sampling);
    case 'array':
      return Array.from({ length: atLeast(schema.minItems, 1) }, () =>
        sample(asSchema(schema.items), sampling),
      );
    case 'integer':
    case 'number':
      return atLeast(schema.minimum, 1);
    case 'boolean':
      return true;
    case 'null':
      return null;
    default:
      return sampleText(schema, sampling.text);
  }
}

function sampleObject(schema: Schema, sampling: Sampling): unknown {
  const properties = Object.entries(asSchema(schema.properties));
  const required = Array.isArray(schema.required) ? schema.required : [];
  const wanted = required.length > 0 ? properties.filter(([name]) => required.includes(name)) : properties;
  return Object.fromEntries(wanted.map(([name, property]) => [name, sample(asSchema(property), sampling)]));
}

const FORMATS: Readonly<Record<string, string>> = {
  date: '2026-01-31',
  'date-time': '2026-01-31T12:00:00Z',
  time: '12:00:00Z',
  email: 'echo@example.org',
  uri: 'https://example.org/',
  uuid: '00000000-0000-4000-8000-000000000000',
};

const MAX_REPEATED_LENGTH = 1000;

function sampleText(schema: Schema, text: string): string {
  const format = typeof schema.format === 'string' ? FORMATS[schema.format] : undefined;
  if (format !== undefined) return format;
  const filled = text.padEnd(Math.min(atLeast(schema.minLength, 0), MAX_REPEATED_LENGTH), '.');
  return typeof schema.maxLength === 'number' ? filled.slice(0, schema.maxLength) : filled;
}

function typeOf(schema: Schema): string {
  const [type] = [schema.type].flat();
  if (typeof type === 'string') return type;
  return schema.properties === undefined ? 'string' : 'object';
}

function atLeast(value: unknown, otherwise: number): number {
  return typeof value === 'number' && Number.isFinite(value)
    ? Math.min(value, MAX_REPEATED_LENGTH)
    : otherwise;
}

/** `#/$defs/name` */
function resolve(reference: string, root: Schema): Schema {
  const path = reference.startsWith('#/') ? reference.slice(2).split('/') : [];
  return path.reduce((schema, name) => asSchema(schema[name]), path.length > 0 ? root : {});
}

function asSchema(value: unknown): Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Schema) : {};
}
