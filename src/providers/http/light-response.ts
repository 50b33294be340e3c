import { JsonBoundsError, LONG_TEXT, parseAnswerJson } from '@app/contracts';
import type { IncomingHttpHeaders } from 'node:http';
import { ExactJsonParser, losesDigits } from '../../text/exact-json.js';
import type { LightBody } from './light-body.js';

/** Header names -> values, as the SDKs read them. undici's parser has put the names into lower case. */
class LightHeaders implements Iterable<[string, string]> {
  constructor(private readonly record: IncomingHttpHeaders) {}

  get(name: string): string | null {
    return joined(this.record[name] ?? this.record[name.toLowerCase()]) ?? null;
  }

  *entries(): IterableIterator<[string, string]> {
    for (const [name, value] of Object.entries(this.record)) {
      const text = joined(value);
      if (text !== undefined) yield [name, text];
    }
  }

  [Symbol.iterator](): IterableIterator<[string, string]> {
    return this.entries();
  }
}

function joined(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(', ') : value;
}

const errorTexts = new WeakMap<object, string>();

/**
 * The whole body of an error answer, by the headers that openai's and Anthropic's SDK put on the error they throw.
 * Their errors keep only the body's `error` key, and nothing of a body that has none.
 */
export function errorBodyText(headers: unknown): string | undefined {
  return typeof headers === 'object' && headers !== null ? errorTexts.get(headers) : undefined;
}

/** An answer that was read whole. */
export class LightAnswer {
  readonly headers: LightHeaders;
  readonly ok: boolean;
  readonly text: string;

  constructor(
    readonly status: number,
    headers: IncomingHttpHeaders,
    body: Buffer,
  ) {
    this.headers = new LightHeaders(headers);
    this.ok = isSuccess(status);
    this.text = textOf(body);
    if (!this.ok) errorTexts.set(this.headers, this.text);
  }
}

/** The part of WHATWG's `Response` that the three vendor SDKs and our strategies use. */
export class LightResponse {
  readonly headers: LightHeaders;
  readonly ok: boolean;
  readonly redirected = false;
  readonly type = 'default';

  constructor(
    readonly url: string,
    readonly status: number,
    readonly statusText: string,
    headers: IncomingHttpHeaders,
    readonly body: LightBody,
    private readonly maxBodyBytes: number,
  ) {
    this.headers = new LightHeaders(headers);
    this.ok = isSuccess(status);
  }

  get bodyUsed(): boolean {
    return this.body.used;
  }

  /** Of a refusal only what is within `REFUSAL_LIMITS`. */
  async text(): Promise<string> {
    if (this.ok) return textOf(await this.body.readAll(this.maxBodyBytes));
    const text = textOf(await this.body.readRefusal());
    errorTexts.set(this.headers, text);
    return text;
  }

  /** @throws as `parseBody` */
  async json(): Promise<unknown> {
    return parseBody(await this.text());
  }

  async arrayBuffer(): Promise<ArrayBuffer> {
    const bytes = await this.body.readAll(this.maxBodyBytes);
    return new Uint8Array(bytes).buffer;
  }
}

/**
 * The JSON of a whole answer. Numbers with more digits than a double has keep them, by `ExactJsonParser`: they are arguments
 * of a tool.
 *
 * @throws JsonBoundsError  for JSON so deep that walking it would overflow the stack, or with too much in it
 */
export function parseBody(text: string): unknown {
  const value: unknown = parseAnswerJson(text);
  // The depth of a long text is checked before it is parsed, and a walk through its millions of lists would be slow, too.
  if (text.length < LONG_TEXT && isDeeperThan(value, MAX_JSON_DEPTH)) throw new JsonBoundsError('depth');
  return text.length <= MAX_EXACT_LENGTH && losesDigits(text) ? new ExactJsonParser().parse(text) : value;
}

/** Looking for digits in that takes some 10 ms. */
const MAX_EXACT_LENGTH = 1024 * 1024;

/** No vendor's answer comes near it, tool arguments and schemas included. */
const MAX_JSON_DEPTH = 500;

/** Level by level: a recursive walk would itself overflow the stack. */
function isDeeperThan(root: unknown, most: number): boolean {
  let level: object[] = typeof root === 'object' && root !== null ? [root] : [];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > most) return true;
    level = level.flatMap((value) =>
      Object.values(value).filter((child): child is object => typeof child === 'object' && child !== null),
    );
  }
  return false;
}

export function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

/** Without a byte order mark. */
function textOf(bytes: Buffer): string {
  const start = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
  return bytes.toString('utf8', start);
}
