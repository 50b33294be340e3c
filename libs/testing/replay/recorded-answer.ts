/**
 * What a recorded answer says, in the words of OpenAI's dialect: what the client of the gateway has to get. Read from the
 * vendors' documentation and written without the gateway's translators, which it judges.
 */
export interface RecordedAnswer {
  /** Texts of choice 0, joined. */
  readonly text: string;
  readonly reasoning: string;
  readonly refusal: string;
  readonly calls: readonly RecordedCall[];
  readonly finishReason: string;
  /** `undefined` when the recording has no counts. */
  readonly usage: RecordedUsage | undefined;
  readonly choices: number;
}

export interface RecordedCall {
  readonly name: string;
  readonly arguments: unknown;
  /** `undefined` when the vendor gave none and the gateway has to make one. */
  readonly id: string | undefined;
}

export interface RecordedUsage {
  readonly prompt: number;
  readonly completion: number;
  readonly cached: number | undefined;
  readonly reasoning: number | undefined;
}

type Json = Record<string, unknown>;

/** An object's fields; none for anything else. */
export function fields(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {};
}

export function list(value: unknown): Json[] {
  return Array.isArray(value) ? value.map(fields) : [];
}

export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

export function countOf(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
}

/** The JSON of every `data:` line of an event stream. */
export function dataOf(sse: string): Json[] {
  const lines = sse.split(/\r?\n/).filter((line) => line.startsWith('data:'));
  const texts = lines.map((line) => line.slice(5).trim()).filter((text) => text !== '[DONE]');
  return texts.map((text) => fields(JSON.parse(text)));
}

/** Arguments as the model meant them: the empty text of a call without arguments is an empty object. */
export function parseArguments(text: string): unknown {
  return JSON.parse(text === '' ? '{}' : text) as unknown;
}
