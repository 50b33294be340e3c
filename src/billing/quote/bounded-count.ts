import { setImmediate } from 'node:timers/promises';

export type Encoding = 'o200k_base' | 'cl100k_base';
type CountTokens = (text: string) => number;

/**
 * A tokenizer's time grows with the square of a run without a break: 20 s for 50,000 Chinese characters, an ordinary
 * document. Longer runs than this are counted in pieces, which costs a few tokens of accuracy.
 */
const LONGEST_RUN = 64;
const LONG_RUN = new RegExp(`(\\S{${LONGEST_RUN + 1},}|\\s{${LONGEST_RUN + 1},})`, 'u');
const PIECE_OF_RUN = new RegExp(`[^]{1,${LONGEST_RUN}}`, 'gu');

/** Counted in one go: some 5 ms. */
const SLICE_CHARACTERS = 16 * 1024;
/** Of a longer text this many slices, spread over all of it, stand for the whole. */
const MOST_SLICES = 32;

const loaded = new Map<Encoding, Promise<CountTokens>>();

/** Loads the vocabulary on first need (some 70 MB). */
export function loadTokenizer(encoding: Encoding): Promise<CountTokens> {
  const known = loaded.get(encoding);
  if (known) return known;
  const loading = (
    encoding === 'o200k_base'
      ? import('gpt-tokenizer/encoding/o200k_base')
      : import('gpt-tokenizer/encoding/cl100k_base')
  ).then(
    (module): CountTokens =>
      // The name of a special token in a user's text is text; the package would refuse to count it.
      (text) =>
        module.countTokens(text, { allowedSpecial: new Set(), disallowedSpecial: new Set() }),
  );
  loaded.set(encoding, loading);
  return loading;
}

/**
 * Tokens of a text that anybody may have sent, in time proportional to its length and never in one long step.
 * Exact for ordinary text up to 16,000 characters; some tokens too many for longer ones and for long runs.
 */
export async function countBounded(text: string, encoding: Encoding): Promise<number> {
  const count = await loadTokenizer(encoding);
  let tokens = 0;
  let characters = 0;
  for (const slice of slicesOf(text)) {
    if (characters > 0) await setImmediate();
    tokens += countSlice(slice, count);
    characters += slice.length;
  }
  return characters === text.length ? tokens : Math.ceil((tokens * text.length) / characters);
}

function* slicesOf(text: string): Generator<string> {
  const slices = Math.ceil(text.length / SLICE_CHARACTERS);
  const stride = Math.max(1, slices / MOST_SLICES);
  for (let slice = 0; slice < slices; slice += stride) {
    const start = Math.floor(slice) * SLICE_CHARACTERS;
    yield text.slice(start, start + SLICE_CHARACTERS);
  }
}

/** `split` with a group gives ordinary text and long runs in turn. */
function countSlice(slice: string, count: CountTokens): number {
  const counts = slice
    .split(LONG_RUN)
    .map((part, place) =>
      place % 2 === 0
        ? count(part)
        : (part.match(PIECE_OF_RUN) ?? []).reduce((sum, piece) => sum + count(piece), 0),
    );
  return counts.reduce((sum, tokens) => sum + tokens, 0);
}
