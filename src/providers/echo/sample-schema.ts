const MAX_DEPTH = 8;
/** A short schema can ask for more values than there are atoms: 1,000 lists of 1,000 lists of … */
const MAX_VALUES = 2_000;
const MAX_CHARACTERS = 1_000_000;

type Schema = Record<string, unknown>;

/**
 * A value that fits a JSON Schema, the same each time; its texts are `text`. It knows what tools usually use: types, `enum`,
 * `const`, `default`, `anyOf`/`oneOf`/`allOf`, `$ref` inside the schema, lengths and minima. No validator.
 */
export function sampleSchema(schema: unknown, text: string): unknown {
  const root = asSchema(schema);
  return sample(root, { root, text, depth: 0, left: { values: MAX_VALUES, characters: MAX_CHARACTERS } });
}

interface Sampling {
  readonly root: Schema;
  readonly text: string;
  readonly depth: number;
  /** What may still be generated for the whole sample. */
  readonly left: { values: number; characters: number };
}

function sample(schema: Schema, sampling: Sampling): unknown {
  sampling.left.values -= 1;
  if (sampling.depth > MAX_DEPTH || sampling.left.values < 0) return null;
  const deeper = { ...sampling, depth: sampling.depth + 1 };
  if (schema.const !== undefined) return schema.const;
  if (Array.isArray(schema.enum)) return schema.enum[0];
  if (schema.default !== undefined) return schema.default;
  if (typeof schema.$ref === 'string') return sample(resolve(schema.$ref, sampling.root), deeper);
  const [option] = [schema.anyOf, schema.oneOf].filter(Array.isArray).flat();
  if (option !== undefined) return sample(asSchema(option), deeper);
  if (Array.isArray(schema.allOf)) return sample(merged(schema.allOf), deeper);
  return sampleType(schema, typeOf(schema), deeper);
}

function merged(schemas: readonly unknown[]): Schema {
  const all: Schema = {};
  for (const schema of schemas) Object.assign(all, asSchema(schema));
  return all;
}

function sampleType(schema: Schema, type: string, sampling: Sampling): unknown {
  switch (type) {
    case 'object':
      return sampleObject(schema, sampling);
    case 'array':
      return sampleList(schema, sampling);
    case 'integer':
    case 'number':
      return atLeast(schema.minimum, 1);
    case 'boolean':
      return true;
    case 'null':
      return null;
    default:
      return sampleText(schema, sampling);
  }
}

function sampleList(schema: Schema, sampling: Sampling): unknown[] {
  const length = Math.min(atLeast(schema.minItems, 1), Math.max(0, sampling.left.values));
  return Array.from({ length }, () => sample(asSchema(schema.items), sampling));
}

function sampleObject(schema: Schema, sampling: Sampling): unknown {
  const properties = Object.entries(asSchema(schema.properties));
  const required = new Set(Array.isArray(schema.required) ? schema.required : []);
  const wanted = required.size > 0 ? properties.filter(([name]) => required.has(name)) : properties;
  return Object.fromEntries(
    wanted
      .slice(0, Math.max(0, sampling.left.values))
      .map(([name, property]) => [name, sample(asSchema(property), sampling)]),
  );
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

function sampleText(schema: Schema, { text, left }: Sampling): string {
  const { format, minLength, maxLength } = schema;
  if (typeof format === 'string' && Object.hasOwn(FORMATS, format)) return FORMATS[format] ?? '';
  const filled = text.padEnd(atLeast(minLength, 0), '.');
  const most = Math.min(typeof maxLength === 'number' ? maxLength : filled.length, left.characters);
  const sampled = filled.slice(0, Math.max(0, most));
  left.characters -= sampled.length;
  return sampled;
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
