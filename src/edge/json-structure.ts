import { GatewayError } from '@app/contracts';
import { randomInt } from 'node:crypto';

export const MAX_JSON_DEPTH = 64;
export const MAX_JSON_VALUES = 200_000;
/**
 * Names of keys, each counted once however often it stands there: a name that was not seen before costs everybody who
 * reads, walks or writes the object some microseconds, a known one next to nothing. The tools of a hundred servers have
 * some thousands of them.
 */
export const MAX_JSON_NAMES = 20_000;
/** What is shorter cannot have too many names, and is parsed within some 10 ms, whatever is in it. */
export const LOOKED_OVER_FROM_LENGTH = 96 * 1024;

export function tooDeep(): GatewayError {
  return new GatewayError('invalid_body', `The body is nested deeper than ${MAX_JSON_DEPTH} levels.`);
}

export function tooMany(): GatewayError {
  return new GatewayError('invalid_body', `The body has more than ${MAX_JSON_VALUES} values.`);
}

function tooManyNames(): GatewayError {
  return new GatewayError('invalid_body', `The body has more than ${MAX_JSON_NAMES} different keys.`);
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const SPACE = 0x20;

/**
 * Finds text whose parsing, and what comes after it, would hold everybody up: ten megabytes of brackets, of empty objects
 * or of names are up to a second of that, and some 10 ms here. Beside names it finds nothing that would not be refused when it
 * is parsed; whether it is JSON at all is not asked.
 *
 * @returns `invalid_body`, or `undefined`
 */
export function structureFault(text: string): GatewayError | undefined {
  return new JsonStructure().faultOf(text);
}

/** Counts over several texts that are parsed in the same turn. */
export class JsonStructure {
  #commas = 0;
  #containers = 0;
  readonly #names = new DistinctNames();

  /** @returns `invalid_body` when this text, with those before it, is too much; depth is each text's own */
  faultOf(text: string): GatewayError | undefined {
    let depth = 0;
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code === QUOTE) {
        const start = at + 1;
        at = endOfString(text, start);
        if (isName(text, at + 1) && this.#names.add(text, start, at) > MAX_JSON_NAMES) return tooManyNames();
      } else if (code === COMMA) {
        if (++this.#commas > MAX_JSON_VALUES) return tooMany();
        // `[` and `{`, `]` and `}`: apart by one bit.
      } else if ((code & ~0x20) === 0x5b) {
        if (++depth > MAX_JSON_DEPTH) return tooDeep();
        // Each but the first is a value of another, comma or no comma.
        if (++this.#containers > MAX_JSON_VALUES + 1) return tooMany();
      } else if ((code & ~0x20) === 0x5d) depth--;
    }
    return undefined;
  }
}

/** @returns where the string that begins at `start` has its closing quote; the text's length when it has none */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start); end !== -1; end = text.indexOf('"', end + 1)) {
    let before = end - 1;
    while (before >= start && text.charCodeAt(before) === BACKSLASH) before--;
    if ((end - before) % 2 === 1) return end;
  }
  return text.length;
}

/** What comes after a string says what it was. */
function isName(text: string, after: number): boolean {
  let at = after;
  while (at < text.length && text.charCodeAt(at) <= SPACE) at++;
  return text.charCodeAt(at) === COLON;
}

const TABLE_BITS = 2 ** 20;
/** Nobody outside can know which names would be taken for the same one. */
const SEED = randomInt(2 ** 31);

/** How many different names there are: at least so many, and of twenty thousand at most some two hundred more. */
class DistinctNames {
  #table: Uint32Array | undefined;
  #count = 0;

  /** @returns their number, with this one */
  add(text: string, start: number, end: number): number {
    const table = (this.#table ??= new Uint32Array(TABLE_BITS / 32));
    let hash = SEED;
    for (let at = start; at < end; at++) {
      hash = Math.imul(hash ^ text.charCodeAt(at), 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    const word = (hash >>> 5) & (TABLE_BITS / 32 - 1);
    const bit = 1 << (hash & 31);
    const known = table[word] ?? 0;
    if ((known & bit) === 0) {
      table[word] = known | bit;
      this.#count++;
    }
    return this.#count;
  }
}
