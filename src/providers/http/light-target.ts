import type { CallSignal } from '@app/contracts';
import type { Dispatcher } from 'undici';
import { exchangeForAnswer, exchangeForResponse } from './exchange.js';
import type { LightAnswer, LightResponse } from './light-response.js';

/** One address that many requests go to: what they share is worked out once. */
export class LightTarget {
  readonly #href: string;
  readonly #origin: string;
  readonly #path: string;

  /** @param headers  of every request: name, value, name, value, … */
  constructor(
    private readonly dispatcher: Dispatcher,
    url: URL,
    private readonly headers: readonly string[],
    private readonly maxBodyBytes: number,
  ) {
    this.#href = url.href;
    this.#origin = url.origin;
    this.#path = url.pathname + url.search;
  }

  /**
   * Resolves as soon as the answer begins, to be read as it comes.
   *
   * @param headers  further ones, in the same form
   * @throws as `fetch` does
   */
  post(body: string, headers: readonly string[], signal: CallSignal): Promise<LightResponse> {
    const { maxBodyBytes } = this;
    return exchangeForResponse(this.dispatcher, this.#options(ownBytes(body), headers), {
      href: this.#href,
      signal,
      maxBodyBytes,
    });
  }

  /** Resolves when all of the answer is there. */
  postForWhole(body: string, headers: readonly string[], signal: CallSignal): Promise<LightAnswer> {
    return exchangeForAnswer(this.dispatcher, this.#options(body, headers), signal, this.maxBodyBytes);
  }

  #options(body: string | Buffer, headers: readonly string[]): Dispatcher.DispatchOptions {
    return {
      origin: this.#origin,
      path: this.#path,
      method: 'POST',
      headers: this.headers.concat(headers),
      body,
    };
  }
}

/** undici keeps a request's body until the answer ends. A piece of Node's pool would keep its neighbours alive, too. */
function ownBytes(text: string): Buffer {
  const bytes = Buffer.allocUnsafeSlow(Buffer.byteLength(text));
  bytes.write(text);
  return bytes;
}
