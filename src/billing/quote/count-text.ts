import type { ChatRequest } from '@app/contracts';
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
 * An upper bound of a request's text, counted: a fraction of its bytes, for some 50 ns a character. Loads the vocabulary
 * on first need (some 70 MB).
 *
 * @returns tokens, or `undefined` when the text is too long to be counted in a request
 */
export async function countTextBound(
  request: ChatRequest,
  upstreamModel: string,
): Promise<number | undefined> {
  const tokens = await countText(request, upstreamModel);
  if (tokens === undefined) return undefined;
  return Math.ceil(tokens * (IS_OPENAI.test(upstreamModel) ? MARGIN_OPENAI : MARGIN_OTHERS)) + EXTRA_TOKENS;
}

/** The same without the margins: what to expect. */
export async function countText(request: ChatRequest, upstreamModel: string): Promise<number | undefined> {
  const text = textOf(request);
  if (Buffer.byteLength(text) > MOST_BYTES) return undefined;
  return countTokens(text, USES_CL100K.test(upstreamModel) ? 'cl100k_base' : 'o200k_base');
}

/** Everything that is text in the request, joined: what a message is framed by is in the bound's own overhead. */
function textOf(request: ChatRequest): string {
  const texts: string[] = [];
  boundInput(request, '', 0, texts);
  return texts.filter((text) => text !== '').join('\n');
}
