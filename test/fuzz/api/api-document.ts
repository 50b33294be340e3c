import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';

export type Schema = Readonly<Record<string, unknown>>;

export interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required?: boolean;
  readonly schema?: Schema;
  readonly example?: unknown;
}

type Content = Readonly<Record<string, { readonly schema?: Schema; readonly example?: unknown }>>;

interface Operation {
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Content };
  readonly responses: Readonly<Record<string, { readonly content?: Content }>>;
  readonly security?: readonly unknown[];
}

export interface ApiOperation {
  /** `POST /billing/estimate`. */
  readonly name: string;
  readonly method: string;
  readonly path: string;
  readonly parameters: readonly Parameter[];
  readonly body: Schema | undefined;
  readonly responses: Operation['responses'];
}

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

/** An OpenAPI 3.1 document, as somebody reads it who knows nothing else of the server. */
export class ApiDocument {
  readonly operations: readonly ApiOperation[];
  readonly #ajv = new Ajv2020({ strict: false, allErrors: false, validateFormats: false });
  readonly #validators = new Map<unknown, ValidateFunction>();

  constructor(private readonly document: Document) {
    this.#ajv.addSchema(document, 'api');
    this.operations = Object.entries(document.paths).flatMap(([path, operations]) =>
      Object.entries(operations).map(([method, operation]) => ({
        name: `${method.toUpperCase()} ${path}`,
        method: method.toUpperCase(),
        path,
        parameters: operation.parameters ?? [],
        body: operation.requestBody?.content['application/json']?.schema,
        responses: operation.responses,
      })),
    );
  }

  resolve(schema: Schema): Schema {
    const name = /^#\/components\/schemas\/(.+)$/.exec(String(schema['$ref']))?.[1];
    return name === undefined ? schema : (this.document.components.schemas[name] ?? {});
  }

  /** @returns what is wrong with the answer by the document, or `undefined` */
  faultOf(operation: ApiOperation, status: number, contentType: string, text: string): string | undefined {
    const response = operation.responses[String(status)];
    if (response === undefined) return 'the status is not documented';
    const type = contentType.split(';')[0]?.trim() ?? '';
    const schema = response.content?.[type]?.schema;
    if (response.content === undefined) return text === '' ? undefined : 'a body is not documented';
    if (response.content[type] === undefined) return `the type ${type} is not documented`;
    if (schema === undefined) return 'the body has no schema';
    if (type === 'text/event-stream') return this.#faultOfEvents(schema, text);
    if (type !== 'application/json') return undefined;
    return this.#faultOfJson(schema, text);
  }

  #faultOfEvents(schema: Schema, text: string): string | undefined {
    const events = text.split('\n\n').filter((event) => event !== '' && !event.startsWith(':'));
    for (const event of events) {
      const data = /^data: (.*)$/.exec(event)?.[1];
      if (data === undefined) return `not an event: ${event.slice(0, 100)}`;
      if (data === '[DONE]') continue;
      const wanted = data.startsWith('{"error"') ? { $ref: '#/components/schemas/Error' } : schema;
      const fault = this.#faultOfJson(wanted, data);
      if (fault !== undefined) return fault;
    }
    return undefined;
  }

  #faultOfJson(schema: Schema, text: string): string | undefined {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      return 'the body is not JSON';
    }
    const validate = this.#validatorOf(schema);
    return validate(value) ? undefined : this.#ajv.errorsText(validate.errors);
  }

  #validatorOf(schema: Schema): ValidateFunction {
    const key = JSON.stringify(schema);
    const known = this.#validators.get(key);
    if (known) return known;
    const absolute = JSON.parse(key.replaceAll('"$ref":"#/', '"$ref":"api#/')) as Schema;
    const validate = this.#ajv.compile(absolute);
    this.#validators.set(key, validate);
    return validate;
  }
}
