const scratch = Buffer.allocUnsafeSlow(16 * 1024);
const MOST_BYTES_OF_A_UNIT = 3;

/**
 * A copy of the text that does not keep alive what it was cut from. A slice of a string is a view in V8, which retains the
 * whole string: keeping a word of each chunk would keep every chunk.
 */
export function ownText(text: string): string {
  // UTF-8 has no halves of characters, which a text may be cut into.
  if (!text.isWellFormed()) return Buffer.from(text, 'utf16le').toString('utf16le');
  if (text.length * MOST_BYTES_OF_A_UNIT > scratch.length) return Buffer.from(text).toString();
  return scratch.toString('utf8', 0, scratch.write(text));
}
