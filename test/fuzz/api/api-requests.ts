import fc from 'fast-check';
import { CHAT_EXAMPLES } from '../chat-examples.ts';
import { hostileJson, hostileText, type Json, mutated } from '../hostile-json.ts';
import type { ApiDocument, ApiOperation, Parameter } from './api-document.ts';
import { valuesOf } from './schema-values.ts';

export interface ApiRequest {
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
}

/** Requests to one operation: most of them right or nearly right by the document, some of them anything. */
export function requestsTo(document: ApiDocument, operation: ApiOperation): fc.Arbitrary<ApiRequest> {
  const { parameters, path, method } = operation;
  const inPath = parameters.filter((parameter) => parameter.in === 'path');
  const inQuery = parameters.filter((parameter) => parameter.in === 'query');
  const inHeader = parameters.filter((parameter) => parameter.in === 'header');
  return fc
    .record({
      path: fc.record(Object.fromEntries(inPath.map((one) => [one.name, segments(document, one)]))),
      query: some(inQuery, (one) => fc.oneof(texts(document, one), hostileText())),
      more: fc.oneof(
        { weight: 8, arbitrary: fc.constant({}) },
        {
          weight: 1,
          arbitrary: fc.dictionary(fc.string({ minLength: 1, maxLength: 8 }), fc.string(), { maxKeys: 1 }),
        },
      ),
      headers: some(inHeader, (one) =>
        fc.oneof(texts(document, one), fc.string({ maxLength: 40 })).map(asHeader),
      ),
      body: method === 'GET' ? fc.constant(undefined) : bodies(document, operation),
    })
    .map(({ path: values, query, more, headers, body }) => {
      const target = path.replace(/\{(\w+)\}/g, (_all, name: string) =>
        encodeURIComponent(String(values[name])),
      );
      const pairs = new URLSearchParams({ ...more, ...query }).toString();
      return {
        target: pairs === '' ? target : `${target}?${pairs}`,
        headers: { ...headers, ...(body !== undefined && { 'content-type': body.type }) },
        body: body?.text,
      };
    });
}

/** Each of them, or not. */
function some(parameters: readonly Parameter[], values: (one: Parameter) => fc.Arbitrary<string>) {
  return fc.record(Object.fromEntries(parameters.map((one) => [one.name, values(one)])), {
    requiredKeys: [],
  }) as fc.Arbitrary<Record<string, string>>;
}

function texts(document: ApiDocument, { schema = {}, example }: Parameter): fc.Arbitrary<string> {
  const right = valuesOf(document, schema).map((value) =>
    typeof value === 'string' ? value : JSON.stringify(value),
  );
  return (example === undefined ? right : fc.oneof(right, fc.constant(String(example)))).map(wellFormed);
}

/** What stays one segment of a path: `..` and an empty one would be another path. */
function segments(document: ApiDocument, parameter: Parameter): fc.Arbitrary<string> {
  return fc
    .oneof(texts(document, parameter), hostileText(), fc.constantFrom('alice', 'echo', 'gpt-4', 'nobody'))
    .map((text) => wellFormed(text).slice(0, 300).toWellFormed())
    .filter((text) => !/^\.{0,2}$/.test(text) && !/^[/\\]/.test(text));
}

function bodies(
  document: ApiDocument,
  { body, path }: ApiOperation,
): fc.Arbitrary<{ type: string; text: string }> {
  const json = 'application/json';
  const isChat = /chat|estimate/.test(path);
  const examples = CHAT_EXAMPLES.map((example) => ({ ...(example as object), model: 'echo' })) as Json[];
  return fc.oneof(
    {
      weight: 6,
      arbitrary: valuesOf(document, body ?? {}).map((value) => ({ type: json, text: textOf(value) })),
    },
    {
      weight: isChat ? 6 : 0,
      arbitrary: mutated(examples, 2).map((value) => ({ type: json, text: textOf(value) })),
    },
    { weight: 1, arbitrary: hostileJson().map((value) => ({ type: json, text: textOf(value) })) },
    { weight: 1, arbitrary: fc.string().map((text) => ({ type: json, text })) },
    { weight: 1, arbitrary: fc.constantFrom('text/plain', 'a/b', 'x').map((type) => ({ type, text: '{}' })) },
  );
}

const textOf = (value: unknown): string => JSON.stringify(value) ?? '';
const wellFormed = (text: string): string => text.toWellFormed();
const asHeader = (text: string): string => text.replace(/[^\x20-\x7e]/g, '?').trim();
