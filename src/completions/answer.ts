import type { ChatCompletion } from '@app/contracts';

/** A whole answer ready to send. */
export interface WholeAnswer {
  /** chat.completion as JSON text */
  readonly json: string;
  /** For a replay: the headers of the first answer. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** A provider's new answer. Its text is made once, on demand. */
export class FreshAnswer implements WholeAnswer {
  #json: string | undefined;

  constructor(readonly completion: ChatCompletion) {}

  get json(): string {
    return (this.#json ??= JSON.stringify(this.completion));
  }
}

/** A stream ready to send: the JSON text of each event. Its writer adds `[DONE]`. */
export interface StreamAnswer {
  readonly events: AsyncIterable<string>;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}
