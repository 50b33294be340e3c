import type { ChatRequest } from '@app/contracts';
import type { Encoding } from './bounded-count.js';
import { countTokens } from './count-tokens.js';
import { boundInput } from './input-bound.js';

/** Beyond this counting costs milliseconds; the bound in bytes has to do. */
const MOST_BYTES = 64 * 1024;

/** OpenAI's models before gpt-4o; what follows them uses o200k. */
const USES_CL100K = /^(gpt-3\.5|gpt-4(-|$)(?!o|\.))/;
const IS_OPENAI = /^(gpt-|chatgpt-|o\d)/;

/** Margin over our own count: for the vendor's tokenizer, and for others, whose vocabularies differ by up to half. */
const MARGIN_OPENAI = 1.1;
const MARGIN_OTHERS = 1.6;
const EXTRA_TOKENS = 64;

/**
 * Counts a request's text: a fraction of its bytes, for some 50 ns a character. Loads a vocabulary on first need (some
 * 70 MB). The targets of a request have mostly the same one: it is counted once in each.
 */
export class TextCount {
  readonly #text: string;
  readonly #counts = new Map<Encoding, Promise<number>>();

  constructor(request: ChatRequest) {
    const texts: string[] = [];
    boundInput(request, '', 0, texts);
    this.#text = texts.filter((text) => text !== '').join('\n');
  }

  /**
   * @returns expected tokens, or `undefined` when the text is too long to be counted in a request
   */
  tokens(upstreamModel: string): Promise<number> | undefined {
    if (Buffer.byteLength(this.#text) > MOST_BYTES) return undefined;
    const encoding = USES_CL100K.test(upstreamModel) ? 'cl100k_base' : 'o200k_base';
    const counted = this.#counts.get(encoding) ?? countTokens(this.#text, encoding);
    this.#counts.set(encoding, counted);
    return counted;
  }

  /** The same with margins: an upper bound. */
  async bound(upstreamModel: string): Promise<number | undefined> {
    const tokens = await this.tokens(upstreamModel);
    if (tokens === undefined) return undefined;
    return Math.ceil(tokens * (IS_OPENAI.test(upstreamModel) ? MARGIN_OPENAI : MARGIN_OTHERS)) + EXTRA_TOKENS;
  }
}

/** The expected tokens of a request's text, for one model. */
export async function countText(request: ChatRequest, upstreamModel: string): Promise<number | undefined> {
  return new TextCount(request).tokens(upstreamModel);
}
