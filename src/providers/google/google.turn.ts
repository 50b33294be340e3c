import { type GeminiPart, isObject, type JsonObject, text, without } from './google.wire.js';

/**
 * The layout of a model turn: how it was made of parts, without repeating what the OpenAI message already contains.
 *
 * It is sent as `message.provider_specific_fields.parts` if the parts could not be rebuilt from the message alone: because of a
 * signature on text, code that Google ran, or an image between two texts. The client sends it back with the message. An entry is
 * one of
 *
 *   { content_length, … }      the next that many characters of `content` (UTF-16 units, as JavaScript counts)
 *   { reasoning_length, … }    the next that many of `reasoning_content`
 *   { tool_call_index }        `tool_calls[index]`
 *   { image_index, … }         `images[index]`
 *   anything else              a part as Gemini gave it
 *
 * `…` are the other fields of the part, above all `thoughtSignature`. Consecutive texts without any are one entry, so that a
 * stream and a whole answer have the same layout.
 */
type TurnEntry = JsonObject;

const TEXT_KEYS = new Set(['text', 'thought']);

export class TurnRecorder {
  readonly #entries: TurnEntry[] = [];
  /** The message alone, in its natural order (text, then calls), would give other parts. */
  #special = false;
  #calls = 0;

  text(part: GeminiPart): void {
    const length = part.text?.length ?? 0;
    const key = part.thought === true ? 'reasoning_length' : 'content_length';
    const others = without(part, TEXT_KEYS);
    if (!others && this.#joins(key, length)) return;
    if (!others && length === 0) return;
    this.#special ||= others !== undefined || (key === 'content_length' && this.#calls > 0);
    this.#entries.push({ [key]: length, ...others });
  }

  toolCall(index: number): void {
    this.#calls += 1;
    this.#entries.push({ tool_call_index: index });
  }

  image(index: number, others: JsonObject | undefined): void {
    this.#special = true;
    this.#entries.push({ image_index: index, ...others });
  }

  opaque(part: GeminiPart): void {
    this.#special = true;
    this.#entries.push(part);
  }

  layout(): TurnEntry[] | undefined {
    return this.#special ? this.#entries : undefined;
  }

  /** Adds to the plain text at the end, if there is some. */
  #joins(key: string, length: number): boolean {
    const last = this.#entries.at(-1);
    if (!last || typeof last[key] !== 'number' || Object.keys(last).length > 1) return false;
    last[key] = last[key] + length;
    return true;
  }
}

/** The contents of a client's assistant message, from which the turn is rebuilt. */
interface TurnSource {
  readonly content: string;
  readonly reasoning: string;
  readonly toolCalls: readonly GeminiPart[];
  readonly images: readonly GeminiPart[];
}

/**
 * Layout and message -> the parts that Gemini sent. Thoughts without a signature are left out, as Google advises.
 *
 * A message that was edited since still makes sense: its whole text takes the place of the first text, and calls that are not in
 * the layout come last.
 */
export function rebuildTurn(layout: readonly TurnEntry[], source: TurnSource): GeminiPart[] {
  const content = new TextCursor(source.content, layout, 'content_length');
  const reasoning = new TextCursor(source.reasoning, layout, 'reasoning_length');
  const placed = new Set<number>();
  const parts = layout.flatMap((entry) => rebuildEntry(entry, source, content, reasoning, placed));
  const rest = source.toolCalls.filter((_, index) => !placed.has(index));
  return [...content.leftOver(), ...parts, ...rest];
}

function rebuildEntry(
  entry: TurnEntry,
  source: TurnSource,
  content: TextCursor,
  reasoning: TextCursor,
  placed: Set<number>,
): GeminiPart[] {
  if ('content_length' in entry) return content.take(entry);
  if ('reasoning_length' in entry) {
    return reasoning.take(entry).filter((part) => part.thoughtSignature !== undefined);
  }
  if (typeof entry.tool_call_index === 'number') {
    placed.add(entry.tool_call_index);
    return source.toolCalls.slice(entry.tool_call_index, entry.tool_call_index + 1);
  }
  if (typeof entry.image_index === 'number') return rebuildImage(entry, entry.image_index, source.images);
  return [entry];
}

const IMAGE_KEYS = new Set(['image_index']);

function rebuildImage(entry: TurnEntry, index: number, images: readonly GeminiPart[]): GeminiPart[] {
  return images.slice(index, index + 1).map((image) => ({ ...image, ...without(entry, IMAGE_KEYS) }));
}

/** Returns a text piece by piece, by the lengths of a layout. */
class TextCursor {
  readonly #pieces: boolean;
  #position = 0;
  #taken = false;

  constructor(
    private readonly whole: string,
    layout: readonly TurnEntry[],
    private readonly key: 'content_length' | 'reasoning_length',
  ) {
    const lengths = layout.filter((entry) => key in entry).map((entry) => lengthOf(entry[key]));
    this.#pieces = lengths.reduce((sum, length) => sum + length, 0) === whole.length;
    this.#taken = lengths.length > 0;
  }

  take(entry: TurnEntry): GeminiPart[] {
    const piece = this.#next(lengthOf(entry[this.key]));
    const others = without(entry, new Set([this.key]));
    if (piece === '' && !others) return [];
    return [{ text: piece, ...(this.key === 'reasoning_length' ? { thought: true } : {}), ...others }];
  }

  /** The whole text, if the layout has no entry for text. */
  leftOver(): GeminiPart[] {
    return this.#taken || this.whole === '' ? [] : [{ text: this.whole }];
  }

  #next(length: number): string {
    const start = this.#position;
    this.#position = this.#pieces ? start + length : this.whole.length;
    return this.whole.slice(start, this.#position);
  }
}

function lengthOf(value: unknown): number {
  return Number.isSafeInteger(value) && Number(value) >= 0 ? Number(value) : 0;
}

/** `provider_specific_fields.parts` of a client's message; `undefined` if it is missing or not of our form. */
export function readLayout(fields: unknown): TurnEntry[] | undefined {
  if (!isObject(fields) || !Array.isArray(fields.parts) || fields.parts.length === 0) return undefined;
  return fields.parts.every(isObject) ? fields.parts : undefined;
}

/**
 * A signature without a layout: ours on a tool call, LiteLLM's list, or `extra_content` as Google's own OpenAI-compatible endpoint
 * has it.
 */
export function readSignature(holder: JsonObject): string | undefined {
  const fields = isObject(holder.provider_specific_fields) ? holder.provider_specific_fields : {};
  const list: unknown = fields.thought_signatures;
  const extra = isObject(holder.extra_content) ? holder.extra_content : {};
  const google = isObject(extra.google) ? extra.google : {};
  const candidates = [
    fields.thought_signature,
    Array.isArray(list) ? list[0] : undefined,
    google.thought_signature,
  ];
  return candidates.map(text).find((signature) => signature !== undefined && signature !== '');
}
