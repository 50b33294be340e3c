const scratch = Buffer.allocUnsafeSlow(16 * 1024);
const MOST_BYTES_OF_A_UNIT = 3;

/**
 * The same text without what it was cut from. V8 makes no copy of what is cut off a text, but a view that keeps all of it
 * alive: a word of each chunk keeps all chunks.
 */
export function ownText(text: string): string {
  // UTF-8 has no halves of characters, which a text may be cut into.
  if (!text.isWellFormed()) return Buffer.from(text, 'utf16le').toString('utf16le');
  if (text.length * MOST_BYTES_OF_A_UNIT > scratch.length) return Buffer.from(text).toString();
  return scratch.toString('utf8', 0, scratch.write(text));
}
