import type { IncomingHttpHeaders } from 'node:http';
import { Agent, Pool, type Dispatcher } from 'undici';
import { lookupOutbound } from '../../outbound/metadata-addresses.js';
import { ConnectionError, toConnectionError } from './connection-failure.js';
import { LightBody } from './light-body.js';
import { LightResponse } from './light-response.js';

/** The part of WHATWG fetch that the vendor SDKs use. */
export type LightFetch = typeof globalThis.fetch;

export interface LightFetchOptions {
  /** For name, TCP and TLS together. */
  readonly connectTimeoutMs?: number;
  /** From the request's last byte to the answer's first: a long answer that is not streamed begins late. 0 = none. */
  readonly headersTimeoutMs?: number;
  /** Longest silence inside an answer. 0 = none. */
  readonly bodyTimeoutMs?: number;
  /** Most bytes of an answer that is read whole; streams are bounded by who decodes them. */
  readonly maxBodyBytes?: number;
  readonly maxHeaderBytes?: number;
  /** Offer HTTP/2 over TLS. */
  readonly allowH2?: boolean;
}

const DEFAULTS = {
  connectTimeoutMs: 5_000,
  headersTimeoutMs: 900_000,
  bodyTimeoutMs: 300_000,
  maxBodyBytes: 32 * 1024 * 1024,
  maxHeaderBytes: 64 * 1024,
  allowH2: true,
} as const satisfies Required<LightFetchOptions>;

/** Idle connections: model servers in Python close theirs after 5 s, the vendors' front ends after a minute or more. */
const KEEP_ALIVE_PLAIN_MS = 4_000;
const KEEP_ALIVE_TLS_MS = 30_000;

const agents = new WeakMap<LightFetch, Agent>();

/**
 * `fetch` for the vendor SDKs over undici's dispatcher: one keep-alive pool per origin, no WHATWG streams or headers
 * on the way. Follows no redirect, decodes no content encoding (asks for none), takes string and binary bodies.
 *
 * @throws ConnectionError  when no answer came; its `processed` is `no` until the request's first byte is written
 * @throws the signal's reason  when the call was aborted
 */
export function createLightFetch(options: LightFetchOptions = {}): LightFetch {
  const settings = { ...DEFAULTS, ...options };
  const agent = createAgent(settings);
  const fetch = (input: string | URL | Request, init: RequestInit = {}): Promise<Response> =>
    new Promise((resolve, reject) => {
      const exchange = new Exchange(
        urlOf(input),
        init.signal ?? undefined,
        settings.maxBodyBytes,
        resolve,
        reject,
      );
      exchange.start(agent, init);
    });
  agents.set(fetch, agent);
  return fetch;
}

/** Closes the pools behind `fetch`: calls under way are cut, later ones fail. For the end of the process. */
export async function closeLightFetch(fetch: LightFetch): Promise<void> {
  await agents.get(fetch)?.destroy();
}

function createAgent(settings: Required<LightFetchOptions>): Agent {
  return new Agent({
    connect: { timeout: settings.connectTimeoutMs, lookup: lookupOutbound },
    headersTimeout: settings.headersTimeoutMs,
    bodyTimeout: settings.bodyTimeoutMs,
    maxHeaderSize: settings.maxHeaderBytes,
    allowH2: settings.allowH2,
    factory: (origin, poolOptions) => {
      const keepAliveTimeout = String(origin).startsWith('https:') ? KEEP_ALIVE_TLS_MS : KEEP_ALIVE_PLAIN_MS;
      return new Pool(origin, { ...poolOptions, keepAliveTimeout });
    },
  });
}

/** One call: undici's callbacks -> a promise of the response, then the body. */
class Exchange implements Dispatcher.DispatchHandler {
  #controller: Dispatcher.DispatchController | undefined;
  #body: LightBody | undefined;
  #aborted = false;
  #settled = false;

  constructor(
    private readonly url: URL,
    private readonly signal: AbortSignal | undefined,
    private readonly maxBodyBytes: number,
    private readonly resolve: (response: Response) => void,
    private readonly reject: (reason: unknown) => void,
  ) {}

  start(dispatcher: Dispatcher, init: RequestInit): void {
    if (this.signal?.aborted) return this.#fail(this.signal.reason);
    this.signal?.addEventListener('abort', this.#onAbort, { once: true });
    try {
      dispatcher.dispatch(this.#dispatchOptions(init), this);
    } catch (error) {
      this.#fail(error);
    }
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#aborted) controller.abort(abortReason(this.signal));
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: IncomingHttpHeaders,
    statusText = '',
  ): void {
    if (status < 200 || this.#settled) return;
    this.#settled = true;
    this.#body = new LightBody(controller);
    const response = new LightResponse(
      this.url.href,
      status,
      statusText,
      headers,
      this.#body,
      this.maxBodyBytes,
    );
    // The boundary: SDKs are typed for the whole of `Response`, and use the part that LightResponse has.
    this.resolve(response as unknown as Response);
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#body?.push(chunk);
  }

  onResponseEnd(): void {
    this.#release();
    this.#body?.end();
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#fail(
      this.#aborted ? abortReason(this.signal) : asConnectionError(error, this.#controller !== undefined),
    );
  }

  readonly #onAbort = (): void => {
    this.#aborted = true;
    const reason = abortReason(this.signal);
    if (this.#body) this.#body.abort(reason);
    else this.#controller?.abort(reason);
    this.#fail(reason);
  };

  #fail(reason: unknown): void {
    this.#release();
    this.#body?.fail(reason);
    if (this.#settled) return;
    this.#settled = true;
    this.reject(reason);
  }

  #release(): void {
    this.signal?.removeEventListener('abort', this.#onAbort);
  }

  #dispatchOptions(init: RequestInit): Dispatcher.DispatchOptions {
    return {
      origin: this.url.origin,
      path: this.url.pathname + this.url.search,
      method: init.method ?? 'GET',
      headers: requestHeaders(init.headers),
      body: requestBody(init.body),
    };
  }
}

function urlOf(input: string | URL | Request): URL {
  if (typeof input === 'string') return new URL(input);
  if (input instanceof URL) return input;
  throw new TypeError('light fetch takes a URL, not a Request');
}

function requestHeaders(headers: RequestInit['headers']): string[] {
  const flat = ['accept-encoding', 'identity'];
  for (const [name, value] of pairs(headers)) {
    if (name !== 'accept-encoding' && name.toLowerCase() !== 'accept-encoding') flat.push(name, value);
  }
  return flat;
}

function pairs(headers: RequestInit['headers']): Iterable<[string, string]> {
  if (!headers) return [];
  // As they are: undici checks names and values itself, and a Headers object would do so again.
  if (Array.isArray(headers)) return headers as [string, string][];
  if (headers instanceof Headers) return headers.entries();
  return new Headers(headers).entries();
}

function requestBody(body: RequestInit['body']): string | Uint8Array | null {
  if (body === undefined || body === null) return null;
  if (typeof body === 'string' || body instanceof Uint8Array) return body;
  if (body instanceof ArrayBuffer) return new Uint8Array(body);
  throw new TypeError('light fetch takes a string or bytes as body');
}

function abortReason(signal: AbortSignal | undefined): Error {
  const reason: unknown = signal?.reason;
  return reason instanceof Error ? reason : new DOMException('This operation was aborted', 'AbortError');
}

function asConnectionError(error: Error, begun: boolean): ConnectionError {
  return error instanceof ConnectionError ? error : toConnectionError(error, begun);
}
