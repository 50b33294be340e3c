import { type ChatStreamEvent, RUN_SEPARATOR } from '@app/contracts';
import type { RewrittenChunk } from './chunk-template.js';

/** Ordinary chunks that arrived together and go on as one event: see `ChatStreamEvent.json`. */
export class ChunkRun {
  #json = '';
  #outputText = '';

  /** Characters of its JSON. */
  get length(): number {
    return this.#json.length;
  }

  add(chunk: RewrittenChunk): void {
    this.#json = this.#json === '' ? chunk.json : this.#json + RUN_SEPARATOR + chunk.json;
    this.#outputText += chunk.outputText;
  }

  /** What was added since the last time. */
  take(): ChatStreamEvent | undefined {
    if (this.#json === '') return undefined;
    const event: ChatStreamEvent = {
      json: this.#json,
      outputText: this.#outputText,
      usage: undefined,
      usageOnly: false,
      finishReason: undefined,
    };
    this.#json = '';
    this.#outputText = '';
    return event;
  }
}
