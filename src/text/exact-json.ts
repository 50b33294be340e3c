import { type JsonBounds, JsonBudget } from '@app/contracts';

/** What the language has had since ES2026 and the compiler's libraries do not know yet. */
interface ExactJson {
  parse(
    text: string,
    revive: (key: string, value: unknown, context: { readonly source?: string }) => unknown,
  ): unknown;
  /** A number that `JSON.stringify` writes as this text. */
  rawJSON(text: string): object;
}

const exact = JSON as unknown as ExactJson;

/** An object's or a list's whole number of more than 15 digits would lose some of them when it is parsed. */
export function losesDigits(json: string): boolean {
  return /[:[,]\s*-?\d{16,}/.test(json);
}

/** Half a microsecond for each value: some 10 ms. */
const BOUNDS: JsonBounds = { depth: 500, values: 20_000, containers: 20_000, names: 20_000 };

/**
 * `JSON.parse` for what is only passed on, of texts that are parsed in the same turn. Whole numbers that are too large for
 * a double (ids of messages and accounts are) become objects that nobody can reckon with, and that `JSON.stringify` writes
 * digit for digit. Texts of more values than any call has are parsed as always.
 */
export class ExactJsonParser {
  readonly #budget = new JsonBudget(BOUNDS);

  /** @throws SyntaxError */
  parse(json: string): unknown {
    const isExact = losesDigits(json) && this.#budget.covers(json);
    return isExact ? exact.parse(json, keepDigits) : JSON.parse(json);
  }
}

/** Before Node 21 nothing tells what was written, and digits are lost as ever. */
function keepDigits(_key: string, value: unknown, { source }: { readonly source?: string } = {}): unknown {
  const isCut = typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value);
  return isCut && source !== undefined && /^-?\d+$/.test(source) ? exact.rawJSON(source) : value;
}
