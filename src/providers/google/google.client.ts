import { GoogleGenAI } from '@google/genai';
import type { ProviderSettings } from '../provider-definition.js';
import type { LightFetch } from '../http/light-fetch.js';
import { type PostResponse, readRefusal, rememberFetch, type SdkClient } from '../http/prepared-post.js';
import { refusalOf } from './google.errors.js';

/**
 * Google's SDK, used one layer below its `models`: the client that `models.generateContent` calls.
 *
 * `models` rewrites requests and answers field by field and drops unknown fields, searches the whole buffer again for each event
 * of a stream, and creates a `Response` for every event: it is neither lossless nor cheap. The SDK still provides address, headers
 * and key. Imported only when Google is configured.
 *
 * Paths are relative to the API version, e.g. `models/gemini-2.5-flash:generateContent`.
 */
export class GeminiClient extends GoogleGenAI implements SdkClient {
  constructor(settings: ProviderSettings, fetch: LightFetch) {
    super({
      apiKey: settings.apiKey,
      // Set explicitly: otherwise the SDK reads GOOGLE_GENAI_USE_VERTEXAI from the environment.
      vertexai: false,
      apiVersion: 'v1beta',
      httpOptions: {
        baseUrl: settings.baseUrl,
        fetch: rejectFailures(fetch),
      },
    });
    rememberFetch(this, fetch);
  }

  /** What the SDK would send, intercepted at its `fetch`: a request is complete nowhere else. */
  async buildRequest({ path }: { path: string }) {
    const built = Promise.withResolvers<{ req: { headers: Headers }; url: string }>();
    const fetch: LightFetch = (url, init) => {
      built.resolve({ req: { headers: new Headers(init?.headers) }, url: String(url) });
      return Promise.resolve(new Response('{}'));
    };
    await this.apiClient.request({ path, httpMethod: 'POST', body: '{}', httpOptions: { fetch } });
    return built.promise;
  }

  /** @throws GoogleHttpError  for every status that is not a success */
  post(path: string, options: Parameters<SdkClient['post']>[1]): { asResponse(): Promise<PostResponse> } {
    const { body, headers, signal } = options;
    const request = {
      path,
      httpMethod: 'POST',
      body: JSON.stringify(body),
      httpOptions: { headers },
    } as const;
    return {
      asResponse: async () =>
        (await this.apiClient.request({ ...request, abortSignal: signal })).responseInternal,
    };
  }

  /** Lists one model: needs the key, costs no tokens. */
  async probe(signal: AbortSignal): Promise<void> {
    const queryParams = { pageSize: '1' };
    const answer = await this.apiClient.request({
      path: 'models',
      httpMethod: 'GET',
      queryParams,
      abortSignal: signal,
    });
    await answer.responseInternal.text();
  }
}

/** The SDK's own error keeps neither headers nor a body that isn't JSON. It never retries, because no retry option is set. */
function rejectFailures(fetch: LightFetch): LightFetch {
  return async (input, init) => {
    const response = await fetch(input, init);
    if (response.ok) return response;
    throw refusalOf(await readRefusal(response));
  };
}
