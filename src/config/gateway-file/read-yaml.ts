import { isUtf8 } from 'node:buffer';
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { type ErrorCode, LineCounter, parseDocument, type YAMLError } from 'yaml';

/** Far above any real file; a wrong path (a log, a device) must not fill the memory. */
const MAX_FILE_BYTES = 1024 * 1024;
/** Aliases may repeat parts, not multiply them. */
const MAX_ALIASES = 100;

/** The text of a file, or why it cannot be had. */
export function readBounded(path: string): { text: string } | { fault: string } {
  let file: number | undefined;
  try {
    // To open one waits for its writer, and everybody with it.
    if (statSync(path).isFIFO()) return { fault: 'is a pipe; it must be a file, which can be read again' };
    file = openSync(path, 'r');
    const buffer = Buffer.alloc(MAX_FILE_BYTES + 1);
    let length = 0;
    for (let read = 1; read > 0 && length <= MAX_FILE_BYTES; length += read) {
      read = readSync(file, buffer, length, buffer.length - length, null);
    }
    if (length > MAX_FILE_BYTES) return { fault: `is larger than ${MAX_FILE_BYTES} bytes` };
    const bytes = buffer.subarray(0, length);
    // By its bytes, UTF-16 may be UTF-8, too.
    if (!isUtf8(bytes) || bytes.includes(0)) return { fault: 'the file cannot be read (not UTF-8)' };
    return { text: new TextDecoder().decode(bytes) };
  } catch (error) {
    return { fault: `the file cannot be read (${errorCode(error)})` };
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
}

/**
 * YAML -> maps, arrays and texts. Duplicate keys, tags, several documents and alias bombs are faults.
 * Faults name line and kind; the parser's own messages would quote the file, and with it perhaps a key.
 */
export function readYaml(text: string): { value: unknown; faults: string[] } {
  try {
    const lines = new LineCounter();
    const document = parseDocument(text, {
      schema: 'failsafe',
      uniqueKeys: true,
      prettyErrors: false,
      strict: true,
      lineCounter: lines,
    });
    const faults = [...document.errors, ...document.warnings].map((error) => describe(error, lines));
    if (faults.length > 0) return { value: undefined, faults };
    const value: unknown = document.toJS({ mapAsMap: true, maxAliasCount: MAX_ALIASES });
    // An empty file, or one of comments, is an empty configuration.
    return { value: value === '' || value === null ? undefined : value, faults: [] };
  } catch {
    return { value: undefined, faults: ['GATEWAY_CONFIG: is nested too deeply or repeats too many aliases'] };
  }
}

/** What the parser's names for faults leave open. */
const ADVICE: Partial<Record<ErrorCode, string>> = {
  TAB_AS_INDENT: 'indent with spaces',
  BAD_ALIAS: 'quote values that begin with *',
  BAD_INDENT: 'check the indentation: it fits neither under nor beside what is above it',
  MISSING_CHAR: 'check quotes, brackets and commas before this place',
};

function describe(error: YAMLError, lines: LineCounter): string {
  const { line, col } = lines.linePos(error.pos[0]);
  const what = error.code.toLowerCase().replaceAll('_', ' ');
  const advice = ADVICE[error.code];
  return `GATEWAY_CONFIG: line ${line}, column ${col}: ${what}${advice === undefined ? '' : ` (${advice})`}`;
}
