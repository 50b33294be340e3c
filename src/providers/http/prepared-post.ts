import { abortSignalOf, type CallSignal } from '@app/contracts';
import { type LightFetch, lightTargetOf } from './light-fetch.js';
import type { LightTarget } from './light-target.js';

/** The part of a vendor's SDK that is used here. openai's and Anthropic's come from the same generator, and both have it. */
export interface SdkClient {
  buildRequest(request: {
    method: 'post';
    path: string;
    body: unknown;
  }): Promise<{ readonly req: { readonly headers: Headers }; readonly url: string }>;
  post(
    path: string,
    options: { body: unknown; headers: Record<string, string>; signal: AbortSignal },
  ): { asResponse(): Promise<PostResponse> };
}

/** The part of `Response` that is used here: the SDK's, or that of our own HTTP. */
export interface PostResponse {
  readonly ok: boolean;
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  readonly body: AsyncIterable<Uint8Array> | null;
  text(): Promise<string>;
}

/** The same, read whole. */
export type PostAnswer = Omit<PostResponse, 'text' | 'body'> & { readonly text: string };

/** A refusal, read whole. Its status is enough: the text may be cut. */
export async function readRefusal(response: PostResponse): Promise<PostAnswer> {
  const { ok, status, headers } = response;
  return { ok, status, headers, text: await response.text().catch(() => '') };
}

/**
 * Headers in which the SDK tells its vendor of its own retries and of the machine. These requests are not the SDK's, no server
 * needs to know, and without them half of the headers are left.
 */
const OF_THE_SDK = 'x-stainless-';

const fetches = new WeakMap<SdkClient, LightFetch>();

/** Notes which fetch a client was made with: the SDK does not tell. */
export function rememberFetch(client: SdkClient, fetch: LightFetch): void {
  fetches.set(client, fetch);
}

/**
 * POSTs to one path of an SDK client. The SDK builds the first request; all others differ only in body, signal and the
 * gateway's own headers, so they are not built anew (headers objects, URL, controllers, log lines), which is much of what a
 * call costs.
 *
 * An answer that is not `ok` is returned, and not thrown as by the SDK.
 */
export class PreparedPost {
  #target: LightTarget | undefined;

  constructor(
    private readonly client: SdkClient,
    private readonly path: string,
  ) {}

  /** @param headers  the gateway's own, as name, value, name, value, … */
  async begin(body: object, headers: readonly string[], signal: CallSignal): Promise<PostResponse> {
    const target = this.#target ?? (await this.#prepare());
    return target ? target.post(JSON.stringify(body), headers, signal) : this.#bySdk(body, headers, signal);
  }

  /** Reads all of the answer. */
  whole(body: object, headers: readonly string[], signal: CallSignal): Promise<PostAnswer> {
    return this.#target
      ? this.#target.postForWhole(JSON.stringify(body), headers, signal)
      : this.#firstWhole(body, headers, signal);
  }

  async #firstWhole(body: object, headers: readonly string[], signal: CallSignal): Promise<PostAnswer> {
    const target = await this.#prepare();
    if (target) return target.postForWhole(JSON.stringify(body), headers, signal);
    const response = await this.#bySdk(body, headers, signal);
    const { ok, status } = response;
    return { ok, status, headers: response.headers, text: await response.text() };
  }

  /** `undefined` for a client whose fetch is not ours. */
  async #prepare(): Promise<LightTarget | undefined> {
    const fetch = fetches.get(this.client);
    if (!fetch) return undefined;
    const { req, url } = await this.client.buildRequest({ method: 'post', path: this.path, body: {} });
    for (const name of Array.from(req.headers.keys(), String)) {
      if (name.startsWith(OF_THE_SDK)) req.headers.delete(name);
    }
    return (this.#target ??= lightTargetOf(fetch, new URL(url), req.headers));
  }

  #bySdk(body: object, headers: readonly string[], signal: CallSignal): Promise<PostResponse> {
    const named = Object.fromEntries(pairs(headers));
    return this.client.post(this.path, { body, headers: named, signal: abortSignalOf(signal) }).asResponse();
  }
}

function pairs(flat: readonly string[]): [string, string][] {
  return flat.flatMap((name, place) => (place % 2 === 0 ? [[name, flat[place + 1] ?? '']] : []));
}
