/**
 * Levenshtein's: the fewest letters to add, drop or change. Only as far as `most` can still be kept: no more than
 * 2 × `most` + 1 letters of `right` are compared with each of `left`.
 *
 * @returns more than `most` when it is more, whatever it is
 */
export function editDistance(left: string, right: string, most: number): number {
  const beyond = most + 1;
  if (Math.abs(left.length - right.length) > most) return beyond;
  let row = Array.from({ length: right.length + 1 }, (_, index) => index);
  let next = [...row];
  for (let at = 1; at <= left.length; at++) {
    const first = Math.max(1, at - most);
    let least = (next[first - 1] = first === 1 ? at : beyond);
    for (let to = first; to <= Math.min(right.length, at + most); to++) {
      const change = row[to - 1]! + (left[at - 1] === right[to - 1] ? 0 : 1);
      // The row above ends one letter earlier.
      const above = to < at + most ? row[to]! : beyond;
      const fewest = Math.min(change, above + 1, next[to - 1]! + 1);
      next[to] = fewest;
      least = Math.min(least, fewest);
    }
    if (least > most) return beyond;
    [row, next] = [next, row];
  }
  return row[right.length]!;
}
