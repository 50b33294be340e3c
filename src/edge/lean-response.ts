import { type OutgoingHttpHeader, type OutgoingHttpHeaders, ServerResponse } from 'node:http';

type HeaderValue = number | string | readonly string[];

/**
 * Node's response, able to keep its headers as one flat list until the head is sent: Node's own table of some twenty
 * headers, filled one by one, read again and written, is a tenth of what a short answer costs.
 *
 * Only between `keepHead()` and the head; who asks for a header in between gets Node's table after all.
 */
export class LeanResponse extends ServerResponse {
  #head: (string | number | readonly string[])[] | undefined;

  /** @param headers  to begin with: name, value, name, value, … */
  keepHead(headers: readonly string[] = []): void {
    if (!this.headersSent) this.#head = headers.slice();
  }

  override setHeader(name: string, value: HeaderValue): this {
    const head = this.#head;
    if (!head) return super.setHeader(name, value);
    const at = placeOf(name, head);
    if (at === -1) head.push(name, value);
    else head[at + 1] = value;
    return this;
  }

  override writeHead(...parameters: [statusCode: number, ...rest: unknown[]]): this {
    const head = this.#head;
    if (head && parameters.length === 1) {
      this.#head = undefined;
      return super.writeHead(parameters[0], head as OutgoingHttpHeader[]);
    }
    this.#spill();
    return Reflect.apply(super.writeHead, this, parameters) as this;
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

  /** From the list into Node's table. */
  #spill(): void {
    const head = this.#head;
    this.#head = undefined;
    for (let at = 0; head && at < head.length; at += 2) super.setHeader(String(head[at]), head[at + 1]!);
  }
}

/** Names are the same in any case. Few have the same length, so hardly any text is compared. */
function placeOf(name: string, head: readonly unknown[]): number {
  for (let at = 0; at < head.length; at += 2) {
    const other = head[at] as string;
    if (other.length === name.length && (other === name || other.toLowerCase() === name.toLowerCase())) {
      return at;
    }
  }
  return -1;
}
