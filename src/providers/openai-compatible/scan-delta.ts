/** A delta that goes out as it is: where it ends, and what the model wrote in it. */
interface ScannedDelta {
  /** Index behind the closing brace. */
  readonly end: number;
  readonly text: string;
}

const SPACE = 0x20;
const QUOTE = 0x22;
const COMMA = 0x2c;
const ZERO = 0x30;
const NINE = 0x39;
const COLON = 0x3a;
const OPENING_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const SMALL_N = 0x6e;
const CLOSING_BRACE = 0x7d;

/**
 * Reads the members of a delta without parsing its JSON: texts, nulls, and one piece of a tool call's arguments.
 *
 * @param json   one chunk
 * @param start  index behind the delta's opening brace
 * @returns      `undefined` for every other form: then the chunk has to be parsed
 */
export function scanDelta(json: string, start: number): ScannedDelta | undefined {
  return scanPlainContent(json, start) ?? scanMembers(json, start);
}

const CONTENT = '"content":"';

/** `"content":"…"}` without escapes: nearly every delta. */
function scanPlainContent(json: string, start: number): ScannedDelta | undefined {
  if (!hasAt(json, CONTENT, start)) return undefined;
  const textStart = start + CONTENT.length;
  for (let at = textStart; ; at += 1) {
    const code = json.charCodeAt(at);
    if (code === QUOTE) {
      if (json.charCodeAt(at + 1) !== CLOSING_BRACE) return undefined;
      return { end: at + 2, text: json.slice(textStart, at) };
    }
    // NaN at the end of the text: no comparison with it is true.
    if (!(code >= SPACE) || code === BACKSLASH) return undefined;
  }
}

function scanMembers(json: string, start: number): ScannedDelta | undefined {
  if (json.charCodeAt(start) === CLOSING_BRACE) return { end: start + 1, text: '' };
  let text = '';
  let at = start;
  for (;;) {
    if (json.charCodeAt(at) !== QUOTE) return undefined;
    const keyEnd = json.indexOf('"', at + 1);
    if (keyEnd < 0 || json.charCodeAt(keyEnd + 1) !== COLON) return undefined;
    const key = json.slice(at + 1, keyEnd);
    if (key === 'reasoning' && at !== start) return undefined; // callers rename it at the start only
    const member = scanMember(json, key, keyEnd + 2);
    if (!member) return undefined;
    text = text === '' ? member.text : text + member.text;
    const next = json.charCodeAt(member.end);
    if (next === CLOSING_BRACE) return { end: member.end + 1, text };
    if (next !== COMMA) return undefined;
    at = member.end + 1;
  }
}

function scanMember(json: string, key: string, at: number): ScannedDelta | undefined {
  switch (json.charCodeAt(at)) {
    case QUOTE:
      return isText(key) ? scanString(json, at) : undefined;
    case SMALL_N:
      return hasAt(json, 'null', at) && !NOT_PLAIN.test(key) ? { end: at + 4, text: '' } : undefined;
    case OPENING_BRACKET:
      return key === 'tool_calls' ? scanArguments(json, at) : undefined;
    default:
      return undefined;
  }
}

function isText(key: string): boolean {
  return key === 'content' || key === 'reasoning_content' || key === 'refusal' || key === 'reasoning';
}

/** @returns the text between the quotes, unescaped; `end` is the index behind the closing one */
function scanString(json: string, openingQuote: number): ScannedDelta | undefined {
  if (json.charCodeAt(openingQuote) !== QUOTE) return undefined;
  const start = openingQuote + 1;
  const firstQuote = json.indexOf('"', start);
  if (firstQuote < 0) return undefined;
  const plain = json.slice(start, firstQuote);
  if (NOT_PLAIN.test(plain)) return scanEscaped(json, start, firstQuote);
  return { end: firstQuote + 1, text: plain };
}

/** A bare control character is not JSON, and a line break would end the event: the parser has to refuse it. */
// oxlint-disable-next-line no-control-regex
export const NOT_PLAIN = /[\\\u0000-\u001f]/;

function scanEscaped(json: string, start: number, firstQuote: number): ScannedDelta | undefined {
  let end = firstQuote;
  while (endsInBackslashes(json, start, end)) {
    end = json.indexOf('"', end + 1);
    if (end < 0) return undefined;
  }
  const text = unescape(json.slice(start - 1, end + 1));
  return text === undefined ? undefined : { end: end + 1, text };
}

/** After an odd number of backslashes a quote is part of the text. */
function endsInBackslashes(json: string, start: number, end: number): boolean {
  let at = end;
  while (at > start && json.charCodeAt(at - 1) === BACKSLASH) at -= 1;
  return (end - at) % 2 === 1;
}

function unescape(quoted: string): string | undefined {
  try {
    return String(JSON.parse(quoted));
  } catch {
    return undefined;
  }
}

const INDEX = '"index":';
const ARGUMENTS = '"function":{"arguments":';

/** `[{"index":0,"function":{"arguments":"…"}}]`, or with the two members the other way round (Azure). */
function scanArguments(json: string, at: number): ScannedDelta | undefined {
  if (hasAt(json, `{${INDEX}`, at + 1)) {
    const afterIndex = scanIndex(json, at + 2 + INDEX.length);
    if (afterIndex === undefined || !hasAt(json, `,${ARGUMENTS}`, afterIndex)) return undefined;
    return closed(json, scanString(json, afterIndex + 1 + ARGUMENTS.length), '}}]');
  }
  if (!hasAt(json, `{${ARGUMENTS}`, at + 1)) return undefined;
  const piece = closed(json, scanString(json, at + 2 + ARGUMENTS.length), `},${INDEX}`);
  if (!piece) return undefined;
  const end = scanIndex(json, piece.end);
  return end === undefined ? undefined : closed(json, { end, text: piece.text }, '}]');
}

function closed(json: string, piece: ScannedDelta | undefined, ending: string): ScannedDelta | undefined {
  if (!piece || !hasAt(json, ending, piece.end)) return undefined;
  return { end: piece.end + ending.length, text: piece.text };
}

/** @returns the index behind the number; `undefined` when there is none, as in a damaged chunk */
function scanIndex(json: string, at: number): number | undefined {
  if (json.charCodeAt(at) === ZERO) return at + 1;
  let end = at;
  while (json.charCodeAt(end) >= ZERO && json.charCodeAt(end) <= NINE) end += 1;
  return end > at ? end : undefined;
}

/** `startsWith` at a place. Compares memory; V8's own `startsWith` compares characters and costs twenty times as much. */
export function hasAt(text: string, part: string, at: number): boolean {
  return text.slice(at, at + part.length) === part;
}
