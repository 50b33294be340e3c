import fc from 'fast-check';

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Texts that break somebody: JSON, SSE, HTTP headers, SQL, prototypes, terminals, UTF-16. */
const HOSTILE_TEXTS: readonly string[] = [
  '',
  ' ',
  '\u0000',
  '\r\n',
  '\n\ndata: [DONE]\n\n',
  '\r\nx-injected: yes\r\n\r\n',
  '\u2028\u2029',
  '\u0085',
  '\ud800',
  '\udfff\ud800',
  '\ufeff',
  '\u202e\u2066',
  'é',
  '💥',
  '__proto__',
  'constructor',
  '[DONE]',
  'null',
  'NaN',
  '-1',
  '1e999',
  "'; DROP TABLE ledger; --",
  '${jndi:ldap://127.0.0.1/a}',
  '%s%n%00%0d%0a',
  '\u001b[2J',
  '../../../etc/passwd',
  'http://169.254.169.254/latest/meta-data',
  'file:///etc/passwd',
  'data:image/png;base64,',
  'data:;base64,@@@@',
  'data:image/svg+xml,<svg/onload=alert(1)>',
  'https://user:password@[::1]:1/x?y#z',
  '<script>alert(1)</script>',
  'a'.repeat(300),
];

const HOSTILE_KEYS: readonly string[] = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'valueOf',
  'toJSON',
  'hasOwnProperty',
  'then',
  'length',
  'type',
  'role',
  'name',
  'index',
  '',
  '0',
  '-1',
  '\u0000',
  '\r\nx-injected: yes',
  '\u2028',
  'ключ',
  '💥',
  'api_base',
  'base_url',
];

const HOSTILE_NUMBERS: readonly number[] = [
  0,
  -0,
  -1,
  0.5,
  1e-320,
  255,
  256,
  2 ** 31,
  2 ** 32,
  2 ** 53,
  -(2 ** 53),
  1e21,
  1e308,
  -1e308,
];

/** Objects that pretend to be something else once code asks them for text, for a promise, or for a length. */
const PRETENDERS: readonly Json[] = [
  {},
  [],
  [[]],
  [null],
  { toString: 1 },
  [{ toString: 1 }],
  { name: { toString: 1 } },
  { toString: null, valueOf: null },
  { then: {} },
  { toJSON: {} },
  { length: 3 },
  { length: -1, 0: 'a' },
  { constructor: { prototype: { polluted: true } } },
  { constructor: null },
  { hasOwnProperty: false },
  { type: 'text' },
  { type: 'function' },
  { type: { toString: 1 } },
];

/** Names that requests, answers and events are made of: in the wrong place they are as hostile as any. */
const KNOWN_KEYS: readonly string[] = `
  tool_calls function_call tool_call_id reasoning_content reasoning refusal content
  provider_specific_fields thinking_blocks anthropic_content thought_signatures cache_control function
  arguments parameters image_url input_audio file text data url id tools functions tool_choice stop
  stream_options response_format json_schema schema thinking betas metadata user n max_tokens
  extra_body generation_config google choices delta usage finish_reason error code status message
  x_groq logprobs content_block citations input stop_reason iterations server_tool_use signature
  candidates parts usageMetadata finishReason promptFeedback groundingMetadata args functionCall
  inlineData fileData responseId createTime modelVersion details prompt modalities audio
  reasoning_effort logit_bias prediction verbosity store seed annotations type role safety_settings
  cached_content tool_config mcp_servers output_config service_tier prompt_cache_key
`
  .trim()
  .split(/\s+/);

export const hostileText = (): fc.Arbitrary<string> =>
  fc.oneof(fc.constantFrom(...HOSTILE_TEXTS), fc.string({ unit: 'binary', maxLength: 20 }));

export const hostileKey = (): fc.Arbitrary<string> =>
  fc.oneof(
    fc.constantFrom(...HOSTILE_KEYS),
    { weight: 2, arbitrary: fc.constantFrom(...KNOWN_KEYS) },
    fc.string({ maxLength: 8 }),
  );

export const hostileNumber = (): fc.Arbitrary<number> =>
  fc.oneof(fc.constantFrom(...HOSTILE_NUMBERS), fc.double({ noNaN: true, noDefaultInfinity: true }));

/** Any JSON, often of a kind that somebody did not think of. */
export const hostileJson = (): fc.Arbitrary<Json> =>
  fc.oneof(
    hostileText(),
    hostileNumber(),
    fc.constantFrom<Json>(null, true, false),
    fc.constantFrom(...PRETENDERS),
    fc.integer({ min: 10, max: 60 }).map(nested),
    fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<Json>,
  );

export function nested(depth: number): Json {
  let value: Json = 'deep';
  for (let level = 0; level < depth; level++) value = level % 2 === 0 ? [value] : { value };
  return value;
}

/** One change to a JSON value. `path` picks a child at each level, whatever its number of children. */
interface Mutation {
  readonly path: readonly number[];
  readonly change: 'replace' | 'delete' | 'add' | 'repeat' | 'swap';
  readonly key: string;
  readonly value: Json;
}

const mutation = (): fc.Arbitrary<Mutation> =>
  fc.record({
    // As deep as the examples are: a tier's price, an argument of a call in a stream.
    path: fc.array(fc.nat(1_000), { maxLength: 11 }),
    change: fc.constantFrom('replace', 'replace', 'delete', 'add', 'repeat', 'swap'),
    key: hostileKey(),
    value: hostileJson(),
  });

/** A valid example with up to `maxChanges` things wrong with it: gets further than arbitrary JSON does. */
export function mutated(examples: readonly Json[], maxChanges = 4): fc.Arbitrary<Json> {
  return fc
    .tuple(fc.constantFrom(...examples), fc.array(mutation(), { maxLength: maxChanges }))
    .map(([example, mutations]) => mutations.reduce<Json>(mutate, structuredClone(example)));
}

function mutate(root: Json, { path, change, key, value: shared }: Mutation): Json {
  const value = structuredClone(shared);
  const parent = walk(root, path);
  if (parent === undefined) return change === 'replace' ? value : root;
  const child = pick(parent, path.at(-1) ?? 0);
  if (Array.isArray(parent)) changeArray(parent, Number(child ?? 0), change, value);
  else changeObject(parent, child, change, key, value);
  return root;
}

/** The container that the path ends in; the last step picks a child of it. */
function walk(root: Json, path: readonly number[]): Json[] | { [key: string]: Json } | undefined {
  let at: Json = root;
  for (const step of path.slice(0, -1)) {
    const child = isContainer(at) ? pick(at, step) : undefined;
    const next: Json | undefined =
      child === undefined || !isContainer(at) ? undefined : Reflect.get(at, child);
    if (next === undefined || !isContainer(next)) break;
    at = next;
  }
  return isContainer(at) ? at : undefined;
}

function isContainer(value: Json): value is Json[] | { [key: string]: Json } {
  return typeof value === 'object' && value !== null;
}

function pick(container: object, step: number): string | undefined {
  const keys = Object.keys(container);
  return keys[step % Math.max(1, keys.length)];
}

function changeArray(array: Json[], at: number, change: Mutation['change'], value: Json): void {
  if (change === 'delete') array.splice(at, 1);
  else if (change === 'add') array.push(value);
  else if (change === 'repeat') array.push(...array.slice(0, 20));
  else if (change === 'swap') array.reverse();
  else array[at] = value;
}

function changeObject(
  object: { [key: string]: Json },
  child: string | undefined,
  change: Mutation['change'],
  key: string,
  value: Json,
): void {
  if (change === 'delete' && child !== undefined) delete object[child];
  else if (change === 'replace' && child !== undefined) set(object, child, value);
  else set(object, key, value);
}

/** As JSON.parse does it: `__proto__` becomes a key, not a prototype. */
function set(object: { [key: string]: Json }, key: string, value: Json): void {
  Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
}

/** Cuts bytes into pieces; the same bytes, whatever the cuts. */
export function split(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  const pieces: Uint8Array[] = [];
  let start = 0;
  for (const place of [...places, bytes.length]) {
    pieces.push(bytes.subarray(start, place));
    start = place;
  }
  return pieces;
}

export const cuts = (): fc.Arbitrary<number[]> => fc.array(fc.nat(100_000), { maxLength: 12 });

/** So that code which writes to what it was given is caught. */
export function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const child of Object.values(value)) deepFreeze(child);
  }
  return value;
}
