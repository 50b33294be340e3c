import { LONG_TEXT } from '@app/contracts';

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

/**
 * `JSON.parse` for what is only passed on. Whole numbers that are too large for a double (ids of messages and accounts
 * are) become objects that nobody can reckon with, and that `JSON.stringify` writes digit for digit. Not those of a long
 * text: to look at each of its values would take ten times as long as to parse it, and hold everybody up.
 */
export function parseExactly(json: string): unknown {
  return json.length < LONG_TEXT && losesDigits(json) ? exact.parse(json, keepDigits) : JSON.parse(json);
}

function keepDigits(_key: string, value: unknown, { source }: { readonly source?: string }): unknown {
  const isCut = typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value);
  return isCut && source !== undefined && /^-?\d+$/.test(source) ? exact.rawJSON(source) : value;
}
