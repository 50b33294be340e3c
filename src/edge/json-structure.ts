import { GatewayError } from '@app/contracts';

export const MAX_JSON_DEPTH = 64;
export const MAX_JSON_VALUES = 200_000;
/** What is shorter is parsed within some 25 ms, whatever is in it. */
export const LOOKED_OVER_FROM_LENGTH = 256 * 1024;

export function tooDeep(): GatewayError {
  return new GatewayError('invalid_body', `The body is nested deeper than ${MAX_JSON_DEPTH} levels.`);
}

export function tooMany(): GatewayError {
  return new GatewayError('invalid_body', `The body has more than ${MAX_JSON_VALUES} values.`);
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;

/**
 * Finds text whose parsing alone would hold everybody up: ten megabytes of brackets or of empty objects are a second of
 * JSON.parse, and some 10 ms here. Finds nothing that would not be refused when it is parsed; whether it is
 * JSON at all is not asked.
 *
 * @returns `invalid_body`, or `undefined`
 */
export function structureFault(text: string): GatewayError | undefined {
  let depth = 0;
  let commas = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) at = endOfString(text, at + 1);
    else if (code === COMMA) {
      if (++commas > MAX_JSON_VALUES) return tooMany();
      // `[` and `{`, `]` and `}`: apart by one bit.
    } else if ((code & ~0x20) === 0x5b) {
      if (++depth > MAX_JSON_DEPTH) return tooDeep();
    } else if ((code & ~0x20) === 0x5d) depth--;
  }
  return undefined;
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
