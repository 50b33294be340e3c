import {
  type OutgoingHttpHeader,
  type OutgoingHttpHeaders,
  ServerResponse,
  validateHeaderName,
  validateHeaderValue,
} from 'node:http';

const SENT = 'sent';

type HeaderValue = number | string | readonly string[];

declare module 'node:http' {
  interface OutgoingMessage {
    /** Makes the head's text. `writeHead` calls it, with the head's first line and the headers. */
    _storeHeader(firstLine: string, headers: unknown): void;
    /** The head's text. Once it is sent, it is only asked whether there is one. */
    _header: string | null;
    _headerSent: boolean;
  }
}

/** Headers that many answers begin with: looked at, and put into the text that is sent, once for all of them. */
export class HeadStart {
  readonly text: string;

  /** @param headers  name, value, name, value, … */
  constructor(readonly headers: readonly string[] = []) {
    let text = '';
    for (let at = 0; at < headers.length; at += 2) {
      validateHeaderName(headers[at]!);
      validateHeaderValue(headers[at]!, headers[at + 1]!);
      text += `${headers[at]}: ${headers[at + 1]}\r\n`;
    }
    this.text = text;
  }
}

const NOTHING = new HeadStart();

/**
 * Node's response, able to keep its headers as one flat list until the head is sent: Node's own table of some twenty
 * headers, filled one by one, read again and written, is a tenth of what a short answer costs. What all answers begin
 * with goes out as text that was made before; the rest is written, and looked at, by Node.
 *
 * Only between `keepHead()` and the head; who asks for a header in between gets Node's table after all.
 */
export class LeanResponse extends ServerResponse {
  #start = NOTHING;
  #head: (string | number | readonly string[])[] | undefined;

  /** @param start  what the head begins with, unless one of it is set to something else */
  keepHead(start = NOTHING): void {
    if (this.headersSent) return;
    this.#start = start;
    this.#head = [];
  }

  override setHeader(name: string, value: HeaderValue): this {
    if (!this.#head) return super.setHeader(name, value);
    if (placeOf(name, this.#start.headers) !== -1) this.#resolveStart();
    const head = this.#head;
    const at = placeOf(name, head);
    if (at === -1) head.push(name, value);
    else head[at + 1] = value;
    return this;
  }

  override writeHead(...parameters: [statusCode: number, ...rest: unknown[]]): this {
    const head = this.#head;
    if (head && parameters.length === 1) {
      this.#head = undefined;
      try {
        return super.writeHead(parameters[0], head as OutgoingHttpHeader[]);
      } catch (error) {
        // Nothing has been sent: the answer that says so has the other headers.
        this.#head = head.filter((_, at) => canBeSent(head[at - (at % 2)], head[at + 1 - (at % 2)]));
        throw error;
      }
    }
    this.#spill();
    return Reflect.apply(super.writeHead, this, parameters) as this;
  }

  override _storeHeader(firstLine: string, headers: unknown): void {
    super._storeHeader(firstLine + this.#start.text, headers);
  }

  /** A stream may go on for long after: the text of its head, a kilobyte, is not kept for it. */
  override flushHeaders(): void {
    super.flushHeaders();
    if (this._headerSent) this._header = SENT;
  }

  override getHeader(name: string): ReturnType<ServerResponse['getHeader']> {
    this.#spill();
    return super.getHeader(name);
  }

  override getHeaders(): OutgoingHttpHeaders {
    this.#spill();
    return super.getHeaders();
  }

  override getHeaderNames(): string[] {
    this.#spill();
    return super.getHeaderNames();
  }

  override hasHeader(name: string): boolean {
    this.#spill();
    return super.hasHeader(name);
  }

  override removeHeader(name: string): void {
    this.#spill();
    super.removeHeader(name);
  }

  override appendHeader(name: string, value: string | readonly string[]): this {
    this.#spill();
    return super.appendHeader(name, value);
  }

  /** From the text into the list, where each can be changed. */
  #resolveStart(): void {
    this.#head?.unshift(...this.#start.headers);
    this.#start = NOTHING;
  }

  /** From the list into Node's table. */
  #spill(): void {
    if (!this.#head) return;
    this.#resolveStart();
    const head = this.#head;
    this.#head = undefined;
    for (let at = 0; at < head.length; at += 2) super.setHeader(String(head[at]), head[at + 1]!);
  }
}

function canBeSent(name: unknown, value: unknown): boolean {
  try {
    validateHeaderName(String(name));
    validateHeaderValue(String(name), String(value));
    return true;
  } catch {
    return false;
  }
}

/** Names are the same in any case. Few have the same length and ending, so hardly any text is compared. */
function placeOf(name: string, head: readonly unknown[]): number {
  const { length } = name;
  const ending = lastLetter(name);
  for (let at = 0; at < head.length; at += 2) {
    const other = head[at] as string;
    if (other.length !== length || lastLetter(other) !== ending) continue;
    if (other === name || other.toLowerCase() === name.toLowerCase()) return at;
  }
  return -1;
}

/** In lower case, if it is a letter. */
function lastLetter(name: string): number {
  return name.charCodeAt(name.length - 1) | 0x20;
}
