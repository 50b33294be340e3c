import type { CallSignal, ChatStreamEvent } from '@app/contracts';
import type { StreamTranslation } from '../translation/translated-events.js';
import { toProviderError } from './google.errors.js';
import { GeminiFrames } from './google.frames.js';
import type { GeminiStreamTranslator } from './google.stream.js';

/** The bytes of a stream -> chunks. Only the end of the body says that nothing more comes. */
export class GeminiEvents implements StreamTranslation {
  readonly complete = false;
  readonly #frames = new GeminiFrames();

  constructor(
    private readonly translator: GeminiStreamTranslator,
    private readonly signal: CallSignal,
  ) {}

  take(bytes: Uint8Array, out: ChatStreamEvent[]): void {
    this.#frames.read(bytes, (json) => out.push(...this.translator.take(json)));
  }

  end(out: ChatStreamEvent[]): void {
    for (const json of this.#frames.end()) out.push(...this.translator.take(json));
    out.push(...this.translator.end());
  }

  judge(error: unknown): Error {
    return toProviderError(error, this.signal);
  }
}
