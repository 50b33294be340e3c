import type OpenAI from 'openai';
import type { LightFetch } from '../http/light-fetch.js';
import { parseJson, type WireObject } from './openai-compatible.wire.js';

/** What the SDK says of all requests to one path: address, credentials, its own headers. */
interface Prepared {
  readonly url: URL;
  readonly headers: [name: string, value: string][];
}

const fetches = new WeakMap<OpenAI, LightFetch>();

/** Tells which fetch a client was made with: the SDK keeps it to itself. */
export function rememberFetch(client: OpenAI, fetch: LightFetch): void {
  fetches.set(client, fetch);
}

/**
 * POSTs to one path of an SDK client. The SDK builds the first request; the others are like it but for body, signal and
 * the gateway's own headers, so they go out without being built anew (headers objects, URL, controllers, log lines),
 * which is much of what a call costs. Errors are the SDK's own, made of the answer as it makes them.
 */
export class PreparedPost {
  #prepared: Promise<Prepared> | undefined;

  constructor(
    private readonly client: OpenAI,
    private readonly path: string,
  ) {}

  async send(
    body: WireObject,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<Response> {
    const fetch = fetches.get(this.client);
    if (!fetch) return this.client.post(this.path, { body, headers, signal }).asResponse();
    this.#prepared ??= this.#prepare();
    const prepared = await this.#prepared;
    const response = await fetch(prepared.url, {
      method: 'POST',
      headers: prepared.headers.concat(Object.entries(headers)),
      body: JSON.stringify(body),
      signal,
    });
    if (!response.ok) throw await this.#toSdkError(response);
    return response;
  }

  async #prepare(): Promise<Prepared> {
    const { req, url } = await this.client.buildRequest({ method: 'post', path: this.path, body: {} });
    const headers: [string, string][] = [];
    req.headers.forEach((value, name) => headers.push([name, value]));
    return { url: new URL(url), headers };
  }

  async #toSdkError(response: Response): Promise<Error> {
    const { APIError } = await import('openai');
    const text = await response.text();
    const body: unknown = parseJson(text);
    return APIError.generate(
      response.status,
      typeof body === 'object' && body !== null ? body : undefined,
      body === undefined ? text : undefined,
      response.headers,
    );
  }
}
