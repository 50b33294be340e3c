const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const SPACE = 0x20;

/** How much of what a JSON text may have. */
export interface JsonBounds {
  readonly depth: number;
  /** Items of lists and fields of objects. */
  readonly values: number;
  /** Of these, lists and objects: to make one costs as much as up to ten other values. */
  readonly containers: number;
  /**
   * Names of fields, each counted once however often it stands there: a name that was not seen before costs everybody who
   * reads, walks or writes the object some microseconds, a known one next to nothing.
   */
  readonly names: number;
}

/**
 * Finds text whose parsing, and what comes after it, would hold everybody up: ten megabytes of brackets, of empty
 * objects or of names are up to a second of that, and some 10 ms here. Counts over several texts that are parsed in the
 * same turn. Beside names it finds nothing that is not there when it is parsed; whether it is JSON at all is not asked.
 */
export class JsonStructure {
  #commas = 0;
  #containers = 0;
  readonly #names = new DistinctNames();

  constructor(private readonly bounds: JsonBounds) {}

  /** @returns what of this text, with those before it, is too much; depth is each text's own */
  faultOf(text: string): keyof JsonBounds | undefined {
    const bounds = this.bounds;
    let depth = 0;
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code === QUOTE) {
        const start = at + 1;
        at = endOfString(text, start);
        if (isName(text, at + 1) && this.#names.add(text, start, at) > bounds.names) return 'names';
      } else if (code === COMMA) {
        if (++this.#commas > bounds.values) return 'values';
        // `[` and `{`, `]` and `}`: apart by one bit.
      } else if ((code & ~0x20) === 0x5b) {
        if (++depth > bounds.depth) return 'depth';
        // Each but the first is a value of another, comma or no comma.
        if (++this.#containers > bounds.containers + 1) return 'containers';
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
const SEED = Math.floor(Math.random() * 2 ** 31);

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

/** A shorter text cannot have too many names, is parsed within some 10 ms, whatever is in it, and not looked over before. */
export const LONG_TEXT = 96 * 1024;

/** Several texts that are parsed in the same turn: looked over only when they are long together. */
export class JsonBudget {
  #length = 0;
  #structure: JsonStructure | undefined;

  constructor(private readonly bounds: JsonBounds) {}

  /** @returns false when this text, with those before it, would hold everybody up */
  covers(json: string): boolean {
    this.#length += json.length;
    if (this.#length < LONG_TEXT) return true;
    return (this.#structure ??= new JsonStructure(this.bounds)).faultOf(json) === undefined;
  }
}

/**
 * What no provider's answer comes near: twenty probabilities for each of 16,384 tokens are 2.4 million values, 0.7 million
 * of them lists and objects, and a model writes few names. Nothing within the bounds takes much longer than those do.
 */
const ANSWER_BOUNDS: JsonBounds = { depth: 500, values: 5_000_000, containers: 1_000_000, names: 20_000 };

/** One event of a stream: twenty probabilities for each of some three thousand tokens, which come in pieces of a few. */
const EVENT_BOUNDS: JsonBounds = { ...ANSWER_BOUNDS, values: 500_000, containers: 200_000 };

const TOO_MUCH: Readonly<Record<keyof JsonBounds, string>> = {
  depth: 'is nested too deeply',
  values: 'has too many values',
  containers: 'has too many lists and objects',
  names: 'has too many names',
};

/** An answer of a kind that would hold everybody up, or overflow the stack of whoever walks it. */
export class JsonBoundsError extends RangeError {
  override readonly name = 'JsonBoundsError';
  /** What is wrong, after "the answer": for a message. */
  readonly problem: string;

  constructor(fault: keyof JsonBounds) {
    super(`the answer ${TOO_MUCH[fault]}`);
    this.problem = TOO_MUCH[fault];
  }
}

/**
 * An answer's JSON.
 *
 * @throws SyntaxError  when it is none
 * @throws JsonBoundsError
 */
export function parseAnswerJson(text: string): unknown {
  return parseWithin(ANSWER_BOUNDS, text);
}

/** The same for an event that tells a piece of an answer; one that repeats the whole is an answer. */
export function parseEventJson(text: string): unknown {
  return parseWithin(EVENT_BOUNDS, text);
}

function parseWithin(bounds: JsonBounds, text: string): unknown {
  const fault = text.length < LONG_TEXT ? undefined : new JsonStructure(bounds).faultOf(text);
  if (fault) throw new JsonBoundsError(fault);
  return JSON.parse(text);
}
