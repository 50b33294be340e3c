import { GoogleGenAI } from '@google/genai';
import type { ProviderSettings } from '../provider-definition.js';
import type { LightFetch } from '../http/light-fetch.js';
import { GoogleHttpError, requestIdOf } from './google.errors.js';

export interface GeminiCall {
  /** Below the API version, e.g. `models/gemini-2.5-flash:generateContent`. */
  readonly path: string;
  readonly httpMethod: 'GET' | 'POST';
  readonly query?: Record<string, string>;
  /** JSON text. */
  readonly body?: string;
  readonly headers?: Record<string, string>;
  readonly signal: AbortSignal;
}

/**
 * Google's SDK, used one floor below its `models`: the client that `models.generateContent` itself calls.
 *
 * The floor above rewrites requests and answers field by field and drops what it doesn't know, finds events in a stream
 * by searching the whole buffer again for each of them, and makes a `Response` of every event: it is neither lossless
 * nor cheap. Address, headers, key, abort and errors stay the SDK's business. Imported only when Google is configured.
 */
export class GeminiClient extends GoogleGenAI {
  constructor(settings: ProviderSettings, fetch: LightFetch) {
    super({
      apiKey: settings.apiKey,
      // Said, so that the SDK doesn't look for GOOGLE_GENAI_USE_VERTEXAI in the environment.
      vertexai: false,
      apiVersion: 'v1beta',
      httpOptions: {
        baseUrl: settings.baseUrl,
        fetch: rejectFailures(fetch),
        headers: { ...settings.headers },
      },
    });
  }

  /**
   * @throws GoogleHttpError  for every status that is no success
   */
  async call({ path, httpMethod, query, body, headers, signal }: GeminiCall): Promise<Response> {
    const answer = await this.apiClient.request({
      path,
      httpMethod,
      abortSignal: signal,
      ...(query ? { queryParams: query } : {}),
      ...(body === undefined ? {} : { body }),
      ...(headers ? { httpOptions: { headers } } : {}),
    });
    return answer.responseInternal;
  }
}

/** The SDK's own error keeps neither headers nor a body that isn't JSON. No retry option is set, so it never repeats. */
function rejectFailures(fetch: LightFetch): LightFetch {
  return async (input, init) => {
    const response = await fetch(input, init);
    if (response.ok) return response;
    const body = await response.text().catch(() => '');
    throw new GoogleHttpError(
      response.status,
      body,
      response.headers.get('retry-after'),
      requestIdOf(response),
    );
  };
}
