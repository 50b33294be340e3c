/**
 * Levenshtein's: the fewest letters to add, drop or change. Only as far as `most` can still be kept: no more than
 * 2 × `most` + 1 letters of `right` are compared with each of `left`.
 *
 * @returns more than `most` when it is more, whatever it is
 */
export function editDistance(left: string, right: string, most: number): number {
  if (Math.abs(left.length - right.length) > most) return most + 1;
  let row = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let at = 1; at <= left.length; at++) {
    const next: number[] = [];
    next[0] = at;
    let least = at;
    for (let to = Math.max(1, at - most); to <= Math.min(right.length, at + most); to++) {
      const change = (row[to - 1] ?? Infinity) + (left[at - 1] === right[to - 1] ? 0 : 1);
      const fewest = Math.min(change, (row[to] ?? Infinity) + 1, (next[to - 1] ?? Infinity) + 1);
      next[to] = fewest;
      least = Math.min(least, fewest);
    }
    if (least > most) return most + 1;
    row = next;
  }
  return row[right.length] ?? most + 1;
}
