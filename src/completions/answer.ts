/** A whole answer ready to send. */
export interface WholeAnswer {
  /** chat.completion as JSON text */
  readonly json: string;
  /** Headers it was first given with, for a replay. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** A stream ready to send: the JSON text of each event. `[DONE]` is added by who writes it. */
export interface StreamAnswer {
  readonly events: AsyncIterable<string>;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}
