const MAX_ANSWER_PARTS = 10_000;

/**
 * Whether one answer, or one event of a stream, has more choices, parts, blocks and tool calls than any model gives: each
 * costs some microseconds to translate.
 *
 * @param partsIn  how many an item has within; not asked any more once there are too many
 */
export function hasTooManyParts(
  items: readonly unknown[],
  partsIn: (item: unknown) => number = () => 0,
): boolean {
  let count = items.length;
  for (const item of items) {
    if (count > MAX_ANSWER_PARTS) break;
    count += partsIn(item);
  }
  return count > MAX_ANSWER_PARTS;
}
