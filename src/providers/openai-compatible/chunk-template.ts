import { ownText } from '../../text/own-text.js';
import { parseJson } from '../translation/parse-json.js';
import { hasAt, NOT_PLAIN, scanDelta } from './scan-delta.js';
import { asArray, asObject, type WireObject } from './openai-compatible.wire.js';

/** A chunk on its way to the client, and what the model wrote in it. */
export interface RewrittenChunk {
  readonly json: string;
  readonly outputText: string;
  /** Where it ends in the text that it was found in. */
  readonly end: number;
}

const DELTA = '"delta":{';
const OBFUSCATION = '"obfuscation":"';
const ROLE = '"role":"assistant",';
const REASONING = '"reasoning":';
const REASONING_CONTENT = '"reasoning_content":';

/**
 * The frame that the chunks of one stream share: all but the delta and the random padding.
 *
 * A stream repeats id, model, time and fingerprints in every chunk. Once one chunk has been parsed, another whose text is the
 * same but for the delta needs the same changes, and is rewritten by cutting text, without parsing or writing JSON. Any other
 * chunk (`rewriteAt` gives `undefined`) has to be parsed.
 */
export class ChunkTemplate {
  private constructor(
    /** Up to and including the delta's opening brace. */
    private readonly head: string,
    /** From behind the delta to the end, or to the padding's opening quote. */
    private readonly tail: string,
    /** From the padding's closing quote on. */
    private readonly afterPadding: string | undefined,
    private readonly newHead: string,
    private readonly newTail: string,
    private readonly newAfterPadding: string,
  ) {}

  /**
   * @param json       a chunk
   * @param chunk      the same, parsed
   * @param normalise  makes the client's frame of the server's, which has an empty delta
   */
  static learn(
    json: string,
    chunk: WireObject,
    normalise: (frame: WireObject) => WireObject,
  ): ChunkTemplate | undefined {
    const parts = goesOn(chunk) && !json.includes('\n') ? frameOf(json) : undefined;
    if (!parts) return undefined;
    const frame = asObject(parseJson(`${parts.head}}${parts.tail}${parts.afterPadding ?? ''}`));
    if (!frame) return undefined;
    const written = frameOf(JSON.stringify(normalise(frame)));
    if (!written || (written.afterPadding === undefined) !== (parts.afterPadding === undefined))
      return undefined;
    const head = ownText(parts.head);
    const tail = ownText(parts.tail);
    const afterPadding = parts.afterPadding && ownText(parts.afterPadding);
    return new ChunkTemplate(
      head,
      tail,
      afterPadding,
      sameOr(head, written.head),
      sameOr(tail, written.tail),
      sameOr(afterPadding, written.afterPadding ?? ''),
    );
  }

  /** The chunk that begins at `at`, wherever it ends. */
  rewriteAt(text: string, at: number): RewrittenChunk | undefined {
    if (!hasAt(text, this.head, at)) return undefined;
    const deltaStart = at + this.head.length;
    const start = hasAt(text, ROLE, deltaStart) ? deltaStart + ROLE.length : deltaStart;
    const renamed = hasAt(text, REASONING, start);
    const scanned = scanDelta(text, start);
    if (!scanned || !hasAt(text, this.tail, scanned.end)) return undefined;
    const end = scanned.end + this.tail.length;
    const padding = this.#padding(text, end);
    const delta = text.slice(renamed ? start + REASONING.length : start, scanned.end);
    if (padding === undefined || (renamed && delta.includes(REASONING_CONTENT))) return undefined;
    const key = renamed ? REASONING_CONTENT : '';
    return {
      json: this.newHead + key + delta + this.newTail + padding + this.newAfterPadding,
      outputText: scanned.text,
      end: end + padding.length + (this.afterPadding?.length ?? 0),
    };
  }

  /** `undefined` unless exactly the padding and the known end follow. */
  #padding(text: string, start: number): string | undefined {
    if (this.afterPadding === undefined) return '';
    const end = text.indexOf('"', start);
    if (end < 0 || !hasAt(text, this.afterPadding, end)) return undefined;
    const padding = text.slice(start, end);
    return NOT_PLAIN.test(padding) ? undefined : padding;
  }
}

/** Most frames need no change; then their text is kept only once. */
function sameOr(known: string | undefined, text: string): string {
  return known === text ? known : ownText(text);
}

interface Frame {
  readonly head: string;
  readonly tail: string;
  readonly afterPadding: string | undefined;
}

function frameOf(json: string): Frame | undefined {
  const delta = json.indexOf(DELTA);
  if (delta < 0 || json.indexOf(DELTA, delta + 1) >= 0) return undefined;
  const start = delta + DELTA.length;
  const scanned = scanDelta(json, hasAt(json, ROLE, start) ? start + ROLE.length : start);
  if (!scanned) return undefined;
  const head = json.slice(0, start);
  const padding = json.indexOf(OBFUSCATION, scanned.end);
  if (padding < 0) return { head, tail: json.slice(scanned.end), afterPadding: undefined };
  const tailEnd = padding + OBFUSCATION.length;
  const paddingEnd = json.indexOf('"', tailEnd);
  return { head, tail: json.slice(scanned.end, tailEnd), afterPadding: json.slice(paddingEnd) };
}

/** One choice that has not ended, and nothing around its delta that has to be read in every chunk. */
function goesOn(frame: WireObject): boolean {
  const choices = asArray(frame.choices);
  const choice = asObject(choices[0]);
  return (
    choices.length === 1 &&
    choice !== undefined &&
    (choice.finish_reason === null || choice.finish_reason === undefined) &&
    !choice.logprobs &&
    !frame.usage &&
    !frame.error &&
    !frame.x_groq
  );
}
