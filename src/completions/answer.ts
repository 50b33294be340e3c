/** A whole answer ready to send. */
export interface WholeAnswer {
  /** chat.completion as JSON text */
  readonly json: string;
  /** What it cost when it was first given, for a replay; decimal. */
  readonly cost?: string | undefined;
}

/** A stream ready to send: the JSON text of each event. `[DONE]` is added by who writes it. */
export interface StreamAnswer {
  readonly events: AsyncIterable<string>;
}
