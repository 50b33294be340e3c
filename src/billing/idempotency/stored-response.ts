/** An answer as it can be given again. */
export interface StoredResponse {
  readonly status: number;
  /** Headers that belong to the answer (not to its transport); lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  /** JSON text, or the transcript of an event stream. */
  readonly body: string;
  readonly stream: boolean;
}
