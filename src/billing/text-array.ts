const NEEDS_ESCAPE = /["\\]/;

/**
 * A `text[]` (or `uuid[]`) as Postgres reads it, `{"a","b"}`. The driver would make the same text of an array, with some
 * ten strings for each element.
 */
export function toTextArray(values: Iterable<string>): string {
  let text = '{';
  for (const value of values) {
    const escaped = NEEDS_ESCAPE.test(value) ? value.replaceAll(/["\\]/g, '\\$&') : value;
    text += text === '{' ? `"${escaped}"` : `,"${escaped}"`;
  }
  return `${text}}`;
}
