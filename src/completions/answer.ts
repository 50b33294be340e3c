import type { ChatCompletion } from '@app/contracts';

/** A whole answer ready to send. */
export interface WholeAnswer {
  /** chat.completion as JSON text */
  readonly json: string;
  /** Headers it was first given with, for a replay. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** One that a provider has just given. Its text is made when it is asked for, once. */
export class FreshAnswer implements WholeAnswer {
  #json: string | undefined;

  constructor(readonly completion: ChatCompletion) {}

  get json(): string {
    return (this.#json ??= JSON.stringify(this.completion));
  }
}

/** A stream ready to send: the JSON text of each event. `[DONE]` is added by who writes it. */
export interface StreamAnswer {
  readonly events: AsyncIterable<string>;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}
