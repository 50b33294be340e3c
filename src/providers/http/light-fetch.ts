import { Agent, Pool, type Dispatcher } from 'undici';
import { lookupOutbound } from '../../outbound/metadata-addresses.js';
import { exchangeForResponse } from './exchange.js';
import { LightTarget } from './light-target.js';

/** The part of WHATWG fetch that the vendor SDKs use. */
export type LightFetch = typeof globalThis.fetch;

export interface LightFetchOptions {
  /** For name, TCP and TLS together. */
  readonly connectTimeoutMs?: number;
  /** From the request's last byte to the answer's first: a long answer that is not streamed begins late. 0 = no limit. */
  readonly headersTimeoutMs?: number;
  /** Longest silence inside an answer. 0 = no limit. */
  readonly bodyTimeoutMs?: number;
  /** Most bytes of an answer that is read whole; for streams the decoder has limits. */
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

/** For idle connections: model servers in Python close theirs after 5 s, the vendors' front ends after a minute or more. */
const KEEP_ALIVE_PLAIN_MS = 4_000;
const KEEP_ALIVE_TLS_MS = 30_000;

interface Behind {
  readonly agent: Agent;
  readonly maxBodyBytes: number;
}

const fetches = new WeakMap<LightFetch, Behind>();

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
  const { maxBodyBytes } = settings;
  const fetch = async (input: string | URL | Request, init: RequestInit = {}): Promise<Response> => {
    const url = urlOf(input);
    const { href } = url;
    const options = dispatchOptions(url, init);
    const signal = init.signal ?? undefined;
    const response = await exchangeForResponse(agent, options, { href, signal, maxBodyBytes });
    // The boundary: SDKs are typed for the whole of `Response`, and use the part that LightResponse has.
    return response as unknown as Response;
  };
  fetches.set(fetch, { agent, maxBodyBytes });
  return fetch;
}

/**
 * An address that many requests go to, over the connections of `fetch`.
 *
 * @param headers  of all these requests
 * @returns  `undefined` for a fetch that is not of `createLightFetch`
 */
export function lightTargetOf(fetch: LightFetch, url: URL, headers: Headers): LightTarget | undefined {
  const behind = fetches.get(fetch);
  return behind && new LightTarget(behind.agent, url, requestHeaders(headers), behind.maxBodyBytes);
}

/** Closes the pools behind `fetch`: calls under way are cut, later ones fail. For the end of the process. */
export async function closeLightFetch(fetch: LightFetch): Promise<void> {
  await fetches.get(fetch)?.agent.destroy();
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

function urlOf(input: string | URL | Request): URL {
  if (typeof input === 'string') return new URL(input);
  if (input instanceof URL) return input;
  throw new TypeError('light fetch takes a URL, not a Request');
}

function dispatchOptions(url: URL, init: RequestInit): Dispatcher.DispatchOptions {
  return {
    origin: url.origin,
    path: url.pathname + url.search,
    method: init.method ?? 'GET',
    headers: requestHeaders(init.headers),
    body: requestBody(init.body),
  };
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
  // Unchanged: undici checks names and values itself, and a Headers object would do so again.
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
